/// A folder of class folders of pictures: the layout that Keras and torchvision read.
#pragma once
#include <set>

#include "dataset.hpp"

namespace lamina {

/// Whether a file is taken for a picture by its name: it ends in png, jpg or jpeg, in any case.
[[gnu::cold]] inline bool is_picture(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

namespace detail {
/// By folder, then by name, each by code point: the order of os.walk() as Keras and torchvision sort it.
struct ByFolder {
  bool operator()(std::string_view a, std::string_view b) const {
    const auto folder = [](std::string_view s) { return s.substr(0, s.rfind('/') == s.npos ? 0 : s.rfind('/')); };
    return std::pair(folder(a), a) < std::pair(folder(b), b);
  }
};
using Names = std::set<std::string, ByFolder>;

/// The classes of folders that were found in `where`: with `expected` these, in this order, each of which has to be found and no other; else all, sorted.
[[gnu::cold]] inline std::vector<std::string> class_folders(const std::string& where, Names found, const std::vector<std::string>& expected) {
  std::vector<std::string> classes = expected;
  for (const std::string& c : expected)
    if (!found.erase(c)) throw Error(where, " has no folder for the class ", c, ": add it, or train without that class");
  if (!expected.empty() && !found.empty())
    throw Error(where, " has a folder ", *found.begin(), ", which is none of the ", expected.size(), " known classes: take it away, or train with that class");
  if (expected.empty()) classes.assign(found.begin(), found.end());
  if (classes.empty()) throw Error(where, " holds no class folders: put the pictures of each class into a folder of their own, named after the class");
  if (classes.size() == 1)
    throw Error(where, " holds one class folder, ", classes[0], ", and a classifier needs two or more: was the folder above it meant, or one below?");
  return classes;
}
}  // namespace detail

/// folder/<class>/.../<picture>: a class is a folder, its number is its place among the sorted names (by code point: "B" < "a", "10" < "2").
/// Files are taken at any depth, sorted by folder and then by name, as Keras and torchvision do, with the endings png, jpg and jpeg in any case; names that begin with a dot are passed over.
struct ImageFolder : Dataset {
  /// Throws Error if the folder is missing, cannot be read, is no folder, or has fewer than two classes, and if a class has no picture.
  /// With `expected` (say, the classes of the training folder) the class folders have to be exactly these, in this order of numbers.
  [[gnu::cold]] explicit ImageFolder(const std::filesystem::path& folder, const std::vector<std::string>& expected = {}) {
    name = folder.string();
    std::error_code failed;
    const auto status = std::filesystem::status(folder, failed);
    if (!std::filesystem::exists(status)) {
      if (failed && failed != std::errc::no_such_file_or_directory && failed != std::errc::not_a_directory) refuse(folder, failed);
      throw Error("there is no folder ", name, ": give the path of a folder that holds one folder of pictures for each class");
    }
    if (!std::filesystem::is_directory(status))
      throw Error(name, " is a file, not a folder: give the path of a folder that holds one folder of pictures for each class");
    classes = detail::class_folders(name, find(folder, Wanted::folders), expected);
    for (std::size_t c = 0; c < classes.size(); ++c) add_class(folder / classes[c], std::int32_t(c));
  }

 private:
  enum class Wanted { folders, pictures };

  [[noreturn, gnu::cold]] static void refuse(const std::filesystem::path& path, const std::error_code& why) {
    throw Error("the folder ", path, " cannot be read (", why.message(), "): check that it may be read by this user");
  }
  /// A link to a folder is one; a link that leads nowhere is none, but one whose end may not be looked at is an error: it may well be a class.
  [[gnu::cold]] static bool is_folder(const std::filesystem::directory_entry& entry) {
    std::error_code failed;
    const bool is = entry.is_directory(failed);
    if (failed && failed != std::errc::no_such_file_or_directory && failed != std::errc::not_a_directory) refuse(entry.path(), failed);
    return is;
  }

  /// The names of the folders in it, or of the pictures at any depth below it.
  [[gnu::cold]] static detail::Names find(const std::filesystem::path& folder, Wanted wanted) {
    detail::Names found;
    std::error_code failed, unknown;
    for (std::filesystem::recursive_directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
      const std::filesystem::path name = it->path().lexically_relative(folder);
      const bool hidden = name.filename().native().starts_with('.');
      if (hidden || wanted == Wanted::folders) it.disable_recursion_pending();
      if (!hidden && (wanted == Wanted::folders ? is_folder(*it) : !it->is_directory(unknown) && is_picture(name))) found.insert(name.native());
    }
    if (failed) refuse(folder, failed);
    return found;
  }

  [[gnu::cold]] void add_class(const std::filesystem::path& folder, std::int32_t label) {
    const detail::Names found = find(folder, Wanted::pictures);
    if (found.empty())
      throw Error("the class folder ", folder, " holds no pictures (png, jpg, jpeg): put some into it or take the folder away");
    for (const std::string& file : found) {
      const std::filesystem::path path = folder / file;
      std::error_code unknown;
      const auto bytes = std::filesystem::file_size(path, unknown);
      if (unknown == std::errc::permission_denied) refuse(path.parent_path(), unknown);    // it can be listed but not entered
      samples.push_back({path.string(), label, nullptr, classes[std::size_t(label)] + "/" + file, unknown ? 0 : std::uint64_t(bytes)});
    }
  }
};

}  // namespace lamina
