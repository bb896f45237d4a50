/// Tar archives of pictures: a folder of class folders as tar packs it, or pictures each with a file of its label, the layout of WebDataset.
#pragma once
#include <charconv>
#include <map>

#include "image_folder.hpp"
#include "tar.hpp"

namespace lamina {

namespace detail {
/// What archives hold, before anybody knows whether folders or files of labels say the classes.
class FoundInArchives {
 public:
  static constexpr std::int32_t no_label = -1, companion = -2, most_labels = 1'000'000;
  std::vector<Sample> samples;                // label: no_label, that of its key, or companion: a picture if folders are classes, and if there are labels it only goes with one (key.seg.png)
  std::set<std::string, std::less<>> folders;
  bool labelled = false;                      // there are files of labels
  std::string twice;                          // two pictures of one key, if there are such

  void add(const std::shared_ptr<const Archive>& archive) {
    TarReader reader(archive);
    Group group;
    for (TarMember m; reader.next(m);) {
      if (hidden(m.name)) continue;
      if (const std::size_t slash = m.name.find('/'); (slash != m.name.npos || (m.folder && !m.name.empty())) && folders.find(std::string_view(m.name).substr(0, slash)) == folders.end())
        folders.insert(m.name.substr(0, slash));
      if (m.folder) continue;
      const bool picture = is_picture(m.name), label = m.name.ends_with(".cls");
      if (!picture && !label) continue;
      const std::size_t file = m.name.rfind('/') + 1, dot = m.name.find('.', file);  // npos + 1 is 0
      const bool single = m.name.find('.', dot + 1) == m.name.npos;                  // key.seg.png only goes with a picture
      if (single && m.name.compare(0, dot, group.key) != 0) close(group, *archive), group = {m.name.substr(0, dot)};
      if (label) {
        if (!single) continue;
        if (group.label != no_label) throw Error("the archive ", archive->path(), " holds ", m.name, " twice: take one away, or pack it again");
        group.label = label_of(reader, m, *archive), labelled = true;
        continue;
      }
      if (single) {
        if (group.picture != Group::npos && twice.empty()) twice = archive->path() + " holds the pictures " + samples[group.picture].name + " and " + m.name;
        group.picture = samples.size();
      }
      samples.push_back({{}, single ? no_label : companion, nullptr, std::move(m.name), m.bytes, archive, m.offset});
    }
    close(group, *archive);
  }

 private:
  /// The members of a key: one picture and one label.
  struct Group {
    std::string key;
    std::size_t picture = npos;
    std::int32_t label = no_label;
    static constexpr std::size_t npos = std::size_t(-1);
  };

  static bool hidden(std::string_view name) { return name.starts_with('.') || name.find("/.") != name.npos; }
  void close(const Group& g, const Archive& archive) {
    if (g.label == no_label) return;
    if (g.picture == Group::npos)
      throw Error("the archive ", archive.path(), " holds the label ", g.key, ".cls and no picture ", g.key,
                  " (jpg, jpeg, png) beside it: add it, or pack the archive again with tar --sort=name");
    samples[g.picture].label = g.label;
  }

  [[gnu::cold]] static std::int32_t label_of(TarReader& reader, const TarMember& m, const Archive& archive) {
    std::string_view text = m.bytes <= 32 ? reader.text(m) : std::string_view();
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    std::int32_t label = no_label;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
    if (error != std::errc() || end != text.data() + text.size() || label < 0 || label >= most_labels)
      throw Error("the label ", m.name, " in ", archive.path(), " is no number from 0 to ", most_labels - 1, ": write the number of the class into it, as text");
    return label;
  }
};
}  // namespace detail

/// The headers are read once; a picture is read when its batch is made, so that memory is what an iterator keeps of decoded pictures (its cache_bytes, none with 0) however large the archives are. They have to
/// stay as they are meanwhile.
///
/// Class folders, class/.../name.jpg (tar -C folder -cf pictures.tar .): classes, order, names and fingerprint are those of ImageFolder(folder), and so is the stream of
/// batches. Links are passed over: pack what they lead to (tar -h --hard-dereference).
/// Labels, where any name ends in ".cls": key.jpg, .jpeg or .png beside key.cls, whose text is the label, a whole number from 0; the key ends at the first dot. What else has the
/// key is passed over. All of a key follow one another, and the samples keep the order of the archives.
struct ImageArchive : Dataset {
  /// One archive, or a folder of them: all its files that end in ".tar", sorted by name. Class folders have to be exactly the `expected` ones, in this order of numbers; labels
  /// have these names, and without them "0", "1", ... up to the largest. Throws Error if an archive is missing, damaged, cut off or compressed, if a picture has no label or a
  /// label no picture, if a picture is there twice, and what ImageFolder throws.
  [[gnu::cold]] explicit ImageArchive(const std::filesystem::path& archive, const std::vector<std::string>& expected = {}) : ImageArchive(shards(archive), expected) {
    name = archive.string();
  }

  /// Several that are one data set, in this order.
  [[gnu::cold]] explicit ImageArchive(const std::vector<std::filesystem::path>& archives, const std::vector<std::string>& expected = {}) {
    if (archives.empty()) throw Error("no archives of pictures were given: give at least one");
    name = archives[0].string() + (archives.size() > 1 ? " and " + std::to_string(archives.size() - 1) + " more" : "");
    std::vector<std::shared_ptr<const Archive>> all;
    detail::FoundInArchives found;
    for (const auto& path : archives) {
      all.push_back(std::make_shared<const Archive>(path));
      for (std::size_t i = 0; i + 1 < all.size(); ++i)
        if (all[i]->same_file(*all.back())) throw Error("the archives ", all[i]->path(), " and ", path, " are one file: give it once");
      found.add(all.back());
    }
    samples = std::move(found.samples);
    if (found.labelled) take_labels(found, expected);
    else take_folders(found, expected);
    samples.shrink_to_fit();
  }

 private:
  [[gnu::cold]] static std::vector<std::filesystem::path> shards(const std::filesystem::path& path) {
    std::error_code failed;
    if (!std::filesystem::is_directory(path, failed)) return {path};
    std::vector<std::filesystem::path> found;
    for (std::filesystem::directory_iterator it(path, failed), end; !failed && it != end; it.increment(failed))
      if (it->path().extension() == ".tar" && !it->path().filename().native().starts_with('.')) found.push_back(it->path());
    if (failed) throw Error("the folder ", path, " cannot be read (", failed.message(), "): check that it may be read by this user");
    if (found.empty()) throw Error("the folder ", path, " holds no archives (.tar): give an archive, or a folder of archives");
    std::sort(found.begin(), found.end());
    return found;
  }

  [[gnu::cold]] void take_labels(const detail::FoundInArchives& found, const std::vector<std::string>& expected) {
    if (!found.twice.empty()) throw Error("the archive ", found.twice, " beside one label: take one of them away");
    std::erase_if(samples, [](const Sample& s) { return s.label == detail::FoundInArchives::companion; });
    refuse_doubles();
    std::int32_t largest = 1;                                                        // two classes at least
    for (const Sample& s : samples) {
      if (s.label == found.no_label)
        throw Error("the picture ", s.where(), " has no label ", s.name.substr(0, s.name.find('.', s.name.rfind('/') + 1)),
                    ".cls beside it: add it, or pack the archive again with tar --sort=name");
      if (!expected.empty() && std::size_t(s.label) >= expected.size())
        throw Error("the picture ", s.where(), " has the label ", s.label, " and there are ", expected.size(), " classes, counted from 0: correct the label, or name all classes");
      largest = std::max(largest, s.label);
    }
    classes = expected;
    if (expected.empty()) for (std::int32_t c = 0; c <= largest; ++c) classes.push_back(std::to_string(c));
  }

  /// A key may be in many archives, and once in each.
  [[gnu::cold]] void refuse_doubles() const {
    std::vector<const Sample*> all;
    for (const Sample& s : samples) all.push_back(&s);
    const auto key = [](const Sample* s) { return std::pair(s->archive.get(), std::string_view(s->name).substr(0, s->name.find('.', s->name.rfind('/') + 1))); };
    std::sort(all.begin(), all.end(), [&](const Sample* a, const Sample* b) { return key(a) < key(b); });
    for (std::size_t i = 1; i < all.size(); ++i)
      if (key(all[i - 1]) == key(all[i])) throw Error("the archive ", all[i]->archive->path(), " holds the pictures ", all[i - 1]->name, " and ", all[i]->name, " of one key: take one away, or pack it again");
  }
  [[gnu::cold]] void take_folders(const detail::FoundInArchives& found, const std::vector<std::string>& expected) {
    std::erase_if(samples, [](const Sample& s) { return s.name.find('/') == s.name.npos; });
    classes = detail::class_folders(name, {found.folders.begin(), found.folders.end()}, expected);
    std::map<std::string_view, std::int32_t> number;
    for (std::size_t c = 0; c < classes.size(); ++c) number[classes[c]] = std::int32_t(c);
    for (Sample& s : samples) s.label = number.at(std::string_view(s.name).substr(0, s.name.find('/')));
    std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.label != b.label ? a.label < b.label : detail::ByFolder()(a.name, b.name); });
    for (std::size_t i = 0; i + 1 < samples.size(); ++i)
      if (samples[i].name == samples[i + 1].name)
        throw Error("the picture ", samples[i].name, " is in ", samples[i].archive->path(), " and again in ", samples[i + 1].archive->path(), ": take one away");
    const auto counted = count();
    for (std::size_t c = 0; c < classes.size(); ++c)
      if (!counted[c]) throw Error("the class folder ", classes[c], " in ", name, " holds no pictures (png, jpg, jpeg): put some into it or take the folder away");
  }
};

}  // namespace lamina
