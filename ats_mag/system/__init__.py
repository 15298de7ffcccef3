"""Files that are whole or not there, locks, tables, processes, and Dask; checks of arguments, and short `repr`s."""
