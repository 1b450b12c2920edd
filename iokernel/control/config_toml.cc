// config_toml.cc - the config file's TOML to a draft. The only file that knows toml++.
//
// Here: syntax, unknown tables and keys, types. What values mean is checked in config_check.cc.
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "iokernel/control/config_draft.h"
#include "iokernel/control/units.h"

namespace sluice {
namespace {

Place PlaceOf(const toml::source_region& region, const std::string& file, std::string what) {
  return {file, static_cast<uint32_t>(region.begin.line), static_cast<uint32_t>(region.begin.column), std::move(what)};
}

std::string Quote(std::string_view text) {
  constexpr size_t kShown = 60;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kShown)) quoted += (c < 0x20 && c >= 0) || c == 0x7f ? '?' : c;
  return quoted + (text.size() > kShown ? "...\"" : "\"");
}

// A value as the user wrote it, nearly.
std::string Show(const toml::node& node) {
  if (const auto* text = node.as_string()) return Quote(text->get());
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (node.is_table()) return "a table";
  if (node.is_array_of_tables()) return "a list of tables";
  if (node.is_array()) return "a list";
  if (const auto* number = node.as_floating_point()) {
    std::ostringstream text;
    text << number->get();
    return text.str();
  }
  return "a date or time";
}

// Walks one table; what was not asked for is an unknown key.
class TableReader {
 public:
  TableReader(const toml::table* table, std::string name, const std::string& file, ConfigErrors& errors)
      : table_(table), name_(std::move(name)), file_(file), errors_(errors) {}

  Maybe<std::string> Text(const char* key) {
    const toml::node* node = Find(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* text = node->as_string()) return Written<std::string>{text->get(), Where(*node, key)};
    std::string meant;
    if (node->is_integer()) meant = Quote(Show(*node));
    errors_.Add(Where(*node, key), Show(*node), "a text in quotes", meant);
    return std::nullopt;
  }

  Maybe<int64_t> Number(const char* key, std::string_view unit = "a whole number") {
    const toml::node* node = Find(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* number = node->as_integer()) return Written<int64_t>{number->get(), Where(*node, key)};
    std::string meant;
    if (const auto* text = node->as_string()) {
      if (ParseUnsigned(text->get())) meant = text->get();
      if (const auto us = ParseDurationUs(text->get()); us && std::string_view(key).ends_with("_us")) {
        meant = std::to_string(*us);
      }
    }
    errors_.Add(Where(*node, key), Show(*node), unit, meant);
    return std::nullopt;
  }

  // Integers, where they may stand, are turned to text.
  std::optional<std::vector<Written<std::string>>> List(const char* key, bool integers, std::string_view example,
                                                        Place* place = nullptr) {
    const toml::node* node = Find(key);
    if (node == nullptr) return std::nullopt;
    if (place != nullptr) *place = Where(*node, key);
    const toml::array* list = node->as_array();
    if (list == nullptr) {
      std::string meant;
      if (node->is_string() || (integers && node->is_integer())) meant = "[" + Show(*node) + "]";
      errors_.Add(Where(*node, key), Show(*node), std::string("a list, such as ").append(example), meant);
      return std::nullopt;
    }
    std::vector<Written<std::string>> items;
    for (const toml::node& item : *list) {
      if (const auto* text = item.as_string()) {
        items.push_back({text->get(), Where(item, key)});
      } else if (integers && item.is_integer()) {
        items.push_back({std::to_string(item.as_integer()->get()), Where(item, key)});
      } else {
        errors_.Add(Where(item, key), Show(item), std::string("items as in ").append(example));
      }
    }
    return items;
  }

  // Call last.
  void RefuseOthers() {
    if (table_ == nullptr) return;
    for (const auto& [key, node] : *table_) {
      const std::string text(key.str());
      if (std::find(known_.begin(), known_.end(), text) != known_.end()) continue;
      std::string all;
      for (const std::string& known : known_) all += (all.empty() ? "" : ", ") + known;
      errors_.Add(PlaceOf(key.source(), file_, name_), "unknown key " + Quote(text), all, Nearest(text, known_));
    }
  }

 private:
  const toml::node* Find(const char* key) {
    known_.emplace_back(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  Place Where(const toml::node& node, const char* key) const {
    return PlaceOf(node.source(), file_, name_ + " " + key);
  }

  const toml::table* table_;
  std::string name_;
  const std::string& file_;
  ConfigErrors& errors_;
  std::vector<std::string> known_;
};

class FileReader {
 public:
  FileReader(const toml::table& root, const std::string& file, ConfigErrors& errors)
      : root_(root), file_(file), errors_(errors) {}

  ConfigDraft Read() {
    for (const auto& [key, node] : root_) CheckTable(key, node);
    ReadIokernel();
    ReadPolicy();
    ReadNet();
    ReadApps();
    return std::move(draft_);
  }

 private:
  void CheckTable(const toml::key& key, const toml::node& node) {
    static const std::vector<std::string> kTables = {"iokernel", "policy", "net", "app"};
    const std::string text(key.str());
    if (std::find(kTables.begin(), kTables.end(), text) == kTables.end()) {
      const std::string nearest = Nearest(text, kTables);
      const std::string meant = nearest.empty() ? "" : nearest == "app" ? "[[app]]" : "[" + nearest + "]";
      errors_.Add(PlaceOf(key.source(), file_, ""), (node.is_table() ? "unknown table " : "unknown key ") + Quote(text),
                  "[iokernel], [policy], [net], [[app]]", meant);
    } else if (text == "app" ? !IsListOfTables(node) : !node.is_table()) {
      errors_.Add(PlaceOf(key.source(), file_, text), Show(node),
                  text == "app" ? "[[app]], once for each app" : "a table, [" + text + "]",
                  text == "app" && node.is_table() ? "[[app]]" : "");
    }
  }

  static bool IsListOfTables(const toml::node& node) { return node.is_array_of_tables(); }

  TableReader Table(const char* key) {
    const toml::node* node = root_.get(key);
    return {node == nullptr ? nullptr : node->as_table(), std::string("[") + key + "]", file_, errors_};
  }

  void ReadIokernel() {
    TableReader table = Table("iokernel");
    draft_.port = table.Text("port");
    draft_.cores = table.List("cores", true, R"(["2-5", 8, "1*4"])", &draft_.cores_place);
    draft_.cpu = table.Number("cpu", "the number of a CPU");
    draft_.interval_us = table.Number("interval_us", "a whole number of microseconds");
    draft_.run_dir = table.Text("run_dir");
    draft_.grant = table.Text("grant");
    draft_.idle_burner = table.Text("idle_burner");
    table.RefuseOthers();
  }

  void ReadPolicy() {
    TableReader table = Table("policy");
    draft_.steering = table.Text("steering");
    draft_.pick = table.Text("pick");
    draft_.congestion = table.Text("congestion");
    draft_.placement = table.Text("placement");
    table.RefuseOthers();
  }

  void ReadNet() {
    TableReader table = Table("net");
    draft_.address = table.Text("address");
    draft_.routes = table.List("routes", false, R"(["10.64.0.0/10 via 10.0.0.1"])");
    table.RefuseOthers();
  }

  void ReadApps() {
    const toml::node* node = root_.get("app");
    if (node == nullptr || !IsListOfTables(*node)) return;
    for (const toml::node& item : *node->as_array()) {
      AppDraft app;
      app.place = PlaceOf(item.source(), file_, "[[app]]");
      TableReader table(item.as_table(), "[[app]]", file_, errors_);
      app.name = table.Text("name");
      app.address = table.Text("address");
      app.guaranteed = table.Number("guaranteed");
      app.max = table.Number("max");
      app.priority = table.Text("priority");
      app.steering = table.Text("steering");
      app.flows = table.Number("flows");
      app.slice_us = table.Number("slice_us", "a whole number of microseconds");
      table.RefuseOthers();
      draft_.apps.push_back(std::move(app));
    }
  }

  const toml::table& root_;
  const std::string& file_;
  ConfigErrors& errors_;
  ConfigDraft draft_;
};

}  // namespace

ConfigDraft ReadToml(std::string_view text, const std::string& file, ConfigErrors& errors) {
  try {
    const toml::table root = toml::parse(text, file);
    return FileReader(root, file, errors).Read();
  } catch (const toml::parse_error& error) {
    errors.AddText(PlaceOf(error.source(), file, "not TOML"), error.description());
    return {};
  }
}

}  // namespace sluice
