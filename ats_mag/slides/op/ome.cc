#include "ome.h"

#include <limits>
#include <locale>
#include <sstream>
#include <vector>

#include "error.h"

namespace ats_mag {
namespace {

constexpr double kNotGiven = std::numeric_limits<double>::quiet_NaN();

// The value of an attribute of an element's text, or "".
std::string Attribute(const std::string& element, const std::string& name) {
  for (size_t at = element.find(name + "="); at != std::string::npos; at = element.find(name + "=", at + 1)) {
    const size_t quote = at + name.size() + 1;
    if (at == 0 || quote >= element.size() || std::string(" \t\r\n").find(element[at - 1]) == std::string::npos) continue;
    const size_t end = element.find(element[quote], quote + 1);
    if (end != std::string::npos) return element.substr(quote + 1, end - quote - 1);
  }
  return "";
}

double Micrometres(const std::string& unit) {
  for (const char* micro : {"", "\u00b5m", "\u03bcm", "&#181;m", "&#xB5;m", "&#xb5;m", "&#956;m", "um"}) {
    if (unit == micro) return 1;  // the default of OME
  }
  return unit == "nm" ? 1e-3 : unit == "mm" ? 1e3 : unit == "cm" ? 1e4 : unit == "m" ? 1e6 : kNotGiven;
}

double Size(const std::string& element, const std::string& name) {
  std::istringstream text(Attribute(element, name));
  text.imbue(std::locale::classic());
  double value = kNotGiven;
  if (!(text >> value && (text >> std::ws).eof())) return kNotGiven;
  return value * Micrometres(Attribute(element, name + "Unit"));
}

// The start tags of all elements Pixels, whatever their name space's prefix.
std::vector<std::string> Pictures(const std::string& xml) {
  std::vector<std::string> found;
  for (size_t at = xml.find('<'); at != std::string::npos; at = xml.find('<', at + 1)) {
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) break;
    std::string tag = xml.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" \t\r\n/"));
    const size_t colon = name.find(':');
    if (name.substr(colon == std::string::npos ? 0 : colon + 1) == "Pixels") found.push_back(std::move(tag));
  }
  return found;
}

}  // namespace

OmeMpp ReadOmeMpp(const std::string& xml, int64_t width, int64_t height) {
  const std::vector<std::string> pictures = Pictures(xml);
  for (const std::string& picture : pictures) {
    const bool same = Attribute(picture, "SizeX") == Cat(width) && Attribute(picture, "SizeY") == Cat(height);
    if (same || pictures.size() == 1) return {Size(picture, "PhysicalSizeX"), Size(picture, "PhysicalSizeY")};
  }
  return {kNotGiven, kNotGiven};
}

}  // namespace ats_mag
