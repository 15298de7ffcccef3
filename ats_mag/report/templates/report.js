const table = document.getElementById("predictions");
if (table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const search = document.getElementById("search");
  const wrong = document.getElementById("wrong");

  const filter = () => {
    const text = search.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(text) || (wrong.checked && !row.classList.contains("wrong"));
    }
    document.getElementById("shown").value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} slides`;
  };
  search.addEventListener("input", filter);
  wrong.addEventListener("change", filter);

  const order = new Intl.Collator(undefined, { numeric: true });
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const direction = head.ariaSort === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.ariaSort = other === head ? direction : "none";
      const sign = direction === "ascending" ? 1 : -1;
      const of = (row) => row.cells[column].textContent;
      body.append(...rows.sort((a, b) => sign * order.compare(of(a), of(b))));
    });
  });
}
// On paper everything is to be seen.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
