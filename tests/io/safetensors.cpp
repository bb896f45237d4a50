#include <doctest/doctest.h>
#include <lamina/io/safetensors.hpp>

#include "../support/golden.hpp"
#include "../support/temporary.hpp"

using namespace lamina;

namespace {

SafeTensors sample() {
  SafeTensors file;
  const float w[] = {1.5f, -2, 0.1f, 4, 5, -0.0f};
  const double d[] = {0.1, 1e300};
  const std::uint8_t bytes[] = {0, 127, 255};
  const std::int64_t labels[] = {-1, 1LL << 40};
  const std::int32_t one = 7;
  file.put("layer1.weight", {2, 3}, w);
  file.put("double", {2}, d);
  file.put("bytes", {3, 1}, bytes);
  file.put("labels", {2}, labels);
  file.put("scalar", {}, &one);
  file.put("none", {0, 4}, w);
  file.metadata["classes"] = R"(["a \"b\"", "Grün"])";
  file.metadata["aaa"] = "sorts before the checksum";
  return file;
}

/// A file as somebody else writes it: no checksum, no padding.
std::string foreign(const std::string& header, std::size_t data) {
  std::uint64_t n = header.size();
  std::string s(reinterpret_cast<const char*>(&n), 8);
  return s + header + std::string(data, '\1');
}

std::string why(std::string_view bytes) {
  try {
    parse_safetensors(bytes, "folder/x.safetensors");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("what is written reads back") {
  const lamina_test::TemporaryFolder folder;
  const SafeTensors file = sample();
  write_safetensors(folder.path / "a.safetensors", file);
  const SafeTensors back = read_safetensors(folder.path / "a.safetensors");
  CHECK(back.metadata == file.metadata);
  CHECK(back.tensors == file.tensors);
  CHECK(back.at("labels").as<double>() == std::vector<double>{-1, 1099511627776.0});
  CHECK(back.at("bytes").as<float>() == std::vector<float>{0, 127, 255});
  CHECK(back.at("scalar").count() == 1);
  CHECK(back.at("scalar").as<int>() == std::vector<int>{7});
  CHECK(back.at("none").count() == 0);
  CHECK_THROWS_WITH_AS(back.at("layer9"), doctest::Contains("a.safetensors: there is no tensor \"layer9\" among the 6"), Error);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("an empty file is a file") {
  const SafeTensors back = parse_safetensors(safetensors_bytes({}), "x");
  CHECK(back.tensors.empty());
  CHECK(back.metadata.empty());
}

TEST_CASE("the bytes depend on the contents alone, and the data begin on 64 bytes") {
  const std::string bytes = safetensors_bytes(sample());
  SafeTensors other;
  const SafeTensors one = sample();
  for (auto t = one.tensors.rbegin(); t != one.tensors.rend(); ++t) other.tensors.emplace(t->first, t->second);
  other.metadata = one.metadata;
  other.path = "elsewhere";
  CHECK(safetensors_bytes(other) == bytes);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  CHECK((8 + length) % 64 == 0);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  for (const auto& t : header) if (t.contains("dtype")) CHECK(t["data_offsets"][0].get<std::size_t>() % detail::bytes_of(t["dtype"].get<std::string>()) == 0);
  CHECK(safetensors_bytes(parse_safetensors(bytes, "x")) == bytes);
}

TEST_CASE("damage at any byte is an error that names the file") {
  const std::string good = safetensors_bytes(sample());
  REQUIRE(why(good) == "");
  Index missed = 0;
  const auto damaged = [&](const std::string& bad, const char* how, std::size_t at) {
    if (why(bad).find("folder/x.safetensors is damaged") == 0) return;
    ++missed;
    MESSAGE(how, " ", at, ": ", why(bad));
  };
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const int with : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string bad = good;
      bad[i] = char(bad[i] ^ with);
      damaged(bad, "flipped byte", i);
    }
  for (std::size_t n = 0; n < good.size(); ++n) damaged(good.substr(0, n), "cut to", n);
  for (std::size_t i = 0; i <= good.size(); ++i)
    for (const char more : {'\0', ' '}) damaged(good.substr(0, i) + more + good.substr(i), "one more before byte", i);
  CHECK(missed == 0);
}

TEST_CASE("swapped and zeroed blocks are found") {
  SafeTensors file;
  std::vector<float> numbers(1024);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = float(i);
  file.put("w", {1024}, numbers.data());
  const std::string good = safetensors_bytes(file);
  const std::size_t data = good.size() - 4096;
  std::string bad = good;
  std::swap_ranges(bad.begin() + std::ptrdiff_t(data), bad.begin() + std::ptrdiff_t(data) + 512, bad.begin() + std::ptrdiff_t(data) + 512);
  CHECK(why(bad).find("its checksum is not that of its bytes") != std::string::npos);
  bad = good;
  std::fill_n(bad.begin() + std::ptrdiff_t(data) + 512, 512, '\0');
  CHECK(why(bad).find("its checksum") != std::string::npos);
  bad = good;
  bad[data + 7] = char(bad[data + 7] ^ 0x80), bad[data + 15] = char(bad[data + 15] ^ 0x80);            // top bits, which a plain product would lose
  CHECK(why(bad).find("its checksum") != std::string::npos);
}

TEST_CASE("files of others are read, their checksums left alone") {
  const auto plain = parse_safetensors(foreign(R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 9), "x");
  CHECK(plain.at("a").as<int>() == std::vector<int>{1});
  CHECK(plain.at("b").shape == std::vector<Index>{2});
  const auto summed = parse_safetensors(foreign(R"({"__metadata__":{"format":"pt","checksum":"sha256:12"}})", 0), "x");
  CHECK(summed.metadata.at("checksum") == "sha256:12");
  CHECK(parse_safetensors(safetensors_bytes(summed), "x").metadata == std::map<std::string, std::string>{{"format", "pt"}});
}

TEST_CASE("what is wrong with a file is said") {
  const auto said = [](const std::string& header, std::size_t data = 8) { return why(foreign(header, data)); };
  CHECK(why("").find("it has 0 bytes") != std::string::npos);
  CHECK(why(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)).find("its header would have 18446744073709551615 bytes") != std::string::npos);
  CHECK(said("{", 0).find("not JSON from byte") != std::string::npos);
  CHECK(said("[]", 0).find("not a JSON object") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})").find("says \"a\" twice") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})").find("has more fields than dtype, shape") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})", 6).find("overlap at byte 2") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})").find("overlap at byte 0") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})", 12).find("leave a gap at byte 4") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})").find("its tensors have 4 bytes and the file has 8") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})").find("lies at 0 to 12 of 8 bytes") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})").find("lies at 8 to 0") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})").find("has 8 bytes, which is not what its shape") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[3,6148914691236517206],"data_offsets":[0,8]}})").find("not what its shape") != std::string::npos);    // 2^64 + 2 numbers
  CHECK(said(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})").find("a side of -2") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})").find("a side of 2.0") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F8","shape":[8],"data_offsets":[0,8]}})").find("the type \"F8\"; F32") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[2]}})").find("has no data_offsets") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})").find("is not two numbers") != std::string::npos);
  CHECK(said(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}})").find("has more fields than dtype, shape") != std::string::npos);
  CHECK(said(R"({"__metadata__":{"a":1}})", 0).find("metadata \"a\" is not text") != std::string::npos);
  CHECK(said(R"({"__metadata__":[]})", 0).find("metadata is not a JSON object") != std::string::npos);
  CHECK(said(std::string(200000, '['), 0).find("nests deeper than 16 levels") != std::string::npos);
}

TEST_CASE("what cannot be written is said") {
  SafeTensors file;
  const float w[] = {1, 2};
  file.put("w", {2}, w);
  CHECK_THROWS_WITH_AS(file.put("w", {2}, w), doctest::Contains("the name \"w\" is taken"), Error);
  CHECK_THROWS_WITH_AS(file.put("v", {-2}, w), doctest::Contains("has a side that is negative"), Error);
  file.metadata["folder"] = "Gr\xfcn";
  CHECK_THROWS_WITH_AS(safetensors_bytes(file), doctest::Contains("is not UTF-8"), Error);
  file.metadata.clear();
  file.tensors["w"].shape = {3};
  CHECK_THROWS_WITH_AS(safetensors_bytes(file), doctest::Contains("does not hold the numbers"), Error);
  CHECK_THROWS_WITH_AS(write_safetensors("/no/such/folder/x.safetensors", {}), doctest::Contains("/no/such/folder/x.safetensors: No such file"), Error);
  CHECK_THROWS_WITH_AS(read_safetensors("/no/such/folder/x.safetensors"), doctest::Contains("/no/such/folder/x.safetensors: there is no such file"), Error);
}

TEST_CASE("the recorded files are read") {
  // Counts and shapes as Python's json sees them in the headers.
  if (const auto layers = lamina_test::golden_file("layers.safetensors")) {
    CHECK(layers->tensors.size() == 266);
    CHECK(lamina_test::cases(*layers).size() == 42);
    CHECK(layers->metadata.at("torch") == "2.15.0");
    CHECK(layers->at("act_elu/dx").shape == std::vector<Index>{2, 4, 3, 5});
    CHECK(layers->at("act_elu/dx").dtype == "F64");
  }
  if (const auto keras = lamina_test::golden_file("layers_keras.safetensors")) CHECK(keras->at("simple_cnn/labels").as<int>().size() == 24);
  if (const auto resize = lamina_test::golden_file("resize_pillow.safetensors")) CHECK(resize->at("grey_100x90_bicubic").count() == 27000);
  for (const char* name : {"augmentation_keras", "losses", "networks_torch", "optimizers_keras", "optimizers_torch"})
    if (const auto file = lamina_test::golden_file(std::string(name) + ".safetensors")) CHECK_MESSAGE(lamina_test::cases(*file).is_array(), name);
}
