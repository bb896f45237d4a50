#include <doctest/doctest.h>
#include <lamina/io/report.hpp>

#include <cmath>
#include <limits>

using namespace lamina;

namespace {

const double nan_value = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();

/// What keeps a page from being well formed, or nothing: every tag is closed in its turn, every attribute has its value in quotes, no '<' or '"' is left over.
std::string fault(const std::string& html) {
  const auto is_void = [](const std::string& tag) { return tag == "meta" || tag == "br" || tag == "img"; };
  std::vector<std::string> open;
  for (std::size_t at = html.find('<', 2); at != std::string::npos; at = html.find('<', at)) {
    const bool closes = html[at + 1] == '/';
    std::size_t i = at + 1 + closes, name = i;
    while (std::isalnum(static_cast<unsigned char>(html[i]))) ++i;
    const std::string tag = html.substr(name, i - name);
    if (tag.empty()) return "a bare < at " + html.substr(at, 40);
    while (html[i] == ' ') {
      const std::size_t key = ++i;
      while (std::islower(static_cast<unsigned char>(html[i])) || html[i] == '-' || std::isdigit(static_cast<unsigned char>(html[i])) || html[i] == 'B') ++i;
      if (i == key || html.compare(i, 2, "=\"") != 0) return "an attribute without a value at " + html.substr(at, 80);
      i = html.find('"', i + 2);
      if (i++ == std::string::npos) return "an open quote";
    }
    const bool empty = html[i] == '/';
    if (html[i + empty] != '>') return "a tag without an end at " + html.substr(at, 80);
    if (closes && (open.empty() || open.back() != tag)) return "</" + tag + "> closes " + (open.empty() ? "nothing" : open.back());
    if (closes) open.pop_back();
    else if (!empty && !is_void(tag)) open.push_back(tag);
    at = i;
    if (tag == "style" && !closes) at = html.find("</style>", at);
  }
  return open.empty() ? "" : open.back() + " is never closed";
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Report sample(Index epochs) {
  Report r{.title = "Leaves", .command = "tomato train --out run", .planned_epochs = std::max<Index>(epochs, 3), .best_epoch = epochs, .classes = {"Tomato___a_b", "Tomato___healthy"}};
  for (Index i = 1; i <= epochs; ++i)
    r.epochs.push_back({.epoch = i, .loss = 2 / double(i), .accuracy = 1 - 0.5 / double(i), .val_loss = 2.5 / double(i), .val_accuracy = 1 - 0.6 / double(i), .rate = 1e-3, .seconds = 6, .wait = 0.5,
                        .forward = 1, .backward = 2, .update = 0.25, .validation = 1, .images_per_second = 512});
  r.confusion = Confusion(2);
  for (int i = 0; i < 8; ++i) r.confusion.add(0, i < 6 ? 0 : 1);
  for (int i = 0; i < 2; ++i) r.confusion.add(1, 1);
  r.network = {{"Conv<32, 3>", "64x64x32", 896, 524288, 3538944}, {"ReLU", "64x64x32", 0, 524288, 65536}};
  const std::uint8_t pixel[3] = {1, 2, 3};
  r.mistakes = {{png_bytes(pixel, {1, 1, 3}), "Tomato___a_b", "Tomato___healthy", 0.9876, "leaves/val/x.png"}};
  r.images_per_second = 1234.4, r.seconds = 3725;
  return r;
}

}  // namespace

TEST_CASE("the page is well formed, whatever the number of epochs") {
  CHECK(fault("<!DOCTYPE html><p a=\"1\"><b></p>") != "");                       // the checker itself
  CHECK(fault("<!DOCTYPE html><p a=1></p>") != "");
  CHECK(fault("<!DOCTYPE html><p>1 < 2</p>") != "");
  CHECK(fault("<!DOCTYPE html><p>") != "");
  for (const Index n : {0, 1, 2, 15, 100, 450, 1000}) {
    Report r = sample(n);
    CHECK_MESSAGE(fault(report_html(r)) == "", n);
    r.running = true;
    CHECK_MESSAGE(fault(report_html(r)) == "", n);
  }
  CHECK(fault(report_html({})) == "");
}

TEST_CASE("the page stands alone, and reloads itself only while the training runs") {
  Report r = sample(3);
  std::string html = report_html(r);
  for (const char* outside : {"<script", "http:", "https:", "<link", "@import", "url(", "src=\"/"}) CHECK_MESSAGE(!has(html, outside), outside);
  CHECK_FALSE(has(html, "http-equiv=\"refresh\""));
  CHECK(has(html, "<strong>Finished</strong>, 3 of 3 epochs"));
  r.stopped = "it was interrupted";
  CHECK(has(report_html(r), "<strong>Stopped</strong>, 3 of 3 epochs: it was interrupted"));
  r = sample(1), r.running = true;
  html = report_html(r);
  CHECK(has(html, "<meta http-equiv=\"refresh\" content=\"5\">"));
  CHECK(has(html, "<strong>Running</strong>, 1 of 3 epochs"));
  CHECK(has(html, "aria-valuemax=\"3\" aria-valuenow=\"1\""));
  CHECK(has(html, "document.lastModified) > " + std::to_string(60000 + std::llround(3000 * r.epochs.back().seconds)) + ")"));       // a killed run does not write it
  CHECK(report_html(r) == html);
  r.epochs.back().seconds = 0;
  CHECK_FALSE(has(report_html(r), "lastModified"));                        // how long an epoch takes is not known
}

TEST_CASE("what others named is text and never markup") {
  Report r = sample(2);
  const std::string evil = "<b onclick='x'>\"&\x01";
  r.title = r.command = r.data = r.machine = r.stopped = evil;
  r.classes = {evil, evil + "2"};
  r.mistakes[0].truth = r.mistakes[0].predicted = r.mistakes[0].file = evil;
  r.network[0].layer = r.network[0].output = evil;
  const std::string html = report_html(r);
  CHECK(fault(html) == "");
  CHECK_FALSE(has(html, "<b onclick"));
  CHECK(times(html, "&lt;b onclick=&#39;x&#39;&gt;&quot;&amp; ") > 12);
}

TEST_CASE("the figures are there") {
  const std::string html = report_html(sample(3));
  CHECK(has(html, "<dd>80.00 %</dd>"));                                    // 1 - 0.6 / 3
  CHECK(has(html, "best validation accuracy, epoch 3"));
  CHECK(has(html, "<dd>0.8333</dd>"));                                     // 2.5 / 3
  CHECK(has(html, "<dd>1,234</dd>"));
  CHECK(has(html, "<dd>1 h 02 min</dd>"));                                 // 3725 s
  CHECK(has(html, "<dd>896</dd>"));
  CHECK(has(html, "<dd>3.60 M</dd>"));                                     // 3538944 + 65536
  CHECK(has(html, "title=\"a b taken for healthy: 2 of 8\">2</td>"));
  CHECK(has(html, "--v:0.87"));                                            // sqrt(6 / 8)
  CHECK(has(html, "<td>8</td><td>100.0 %</td><td>75.0 %</td><td>85.7 %</td>"));        // precision 6 / 6, recall 6 / 8, F1 12 / 14
  CHECK(has(html, "<td>10</td><td>75.0 %</td><td>87.5 %</td><td>76.2 %</td>"));        // means with 2 / 4, 2 / 2, 4 / 6
  CHECK(has(html, "<span class=\"said\">healthy</span> <span class=\"part\">98.8 %</span><br>is <span class=\"truth\">a b</span><span class=\"file\" title=\"leaves/val/x.png\">x.png</span>"));
  CHECK(has(html, "<img src=\"data:image/png;base64,iVBOR"));
  CHECK(has(html, "<td>524,288</td><td>3,538,944</td>"));
}

TEST_CASE("a number that is none is said, and drawn nowhere") {
  Report r = sample(5);
  r.epochs[1].loss = nan_value, r.epochs[2].val_loss = infinite, r.epochs[3].accuracy = nan_value, r.epochs[4].seconds = nan_value, r.epochs[4].wait = infinite, r.epochs[0].val_loss = 1e300;
  r.images_per_second = infinite, r.seconds = nan_value, r.mistakes[0].probability = nan_value;
  std::string html = report_html(r);
  CHECK(fault(html) == "");
  const auto drawn = [](const std::string& page) {                             // every coordinate of the charts
    std::string values;
    for (const std::string key : {" d=\"", " x=\"", " y=\"", " cx=\"", " cy=\"", " width=\"", " height=\"", " x1=\"", " x2=\"", " y1=\"", " y2=\""})
      for (std::size_t at = page.find(key); at != std::string::npos; at = page.find(key, at)) {
        at += key.size();
        values += page.substr(at, page.find('"', at) - at);
      }
    return values;
  };
  CHECK(drawn(html).size() > 1000);
  CHECK(drawn(html).find_first_not_of("0123456789.- ML") == std::string::npos);
  CHECK(has(html, "training NaN"));
  CHECK(has(html, "<td>1e+300</td>"));
  CHECK(has(html, "<td>NaN</td>"));
  for (EpochRow& e : r.epochs) e.loss = e.val_loss = e.accuracy = e.val_accuracy = e.rate = nan_value;
  html = report_html(r);
  CHECK(fault(html) == "");
  CHECK(drawn(html).find_first_not_of("0123456789.- ML") == std::string::npos);
}

TEST_CASE("epochs whose figures are lost are said, and the others stand where they belong") {
  Report r = sample(4), whole = r;
  r.planned_epochs = whole.planned_epochs = 4, r.best_epoch = 2, r.best_accuracy = 0.6789;
  r.epochs.erase(r.epochs.begin(), r.epochs.begin() + 3);
  std::string html = report_html(r);
  CHECK(fault(html) == "");
  CHECK(has(html, "<strong>Finished</strong>, 4 of 4 epochs, of which the figures of the first 3 are lost"));
  CHECK(has(html, "<dt>best validation accuracy, epoch 2</dt><dd>67.89 %</dd>"));
  CHECK(has(html, "<td>4</td><td>0.5000</td>"));
  const std::string last = "cx=\"498.0\" cy=";                                // 520 - 14 - 8: the last of four columns
  CHECK(times(report_html(whole), last) == times(html, last));
  CHECK(times(html, last) == 5);
  CHECK_FALSE(has(html, "cx=\"60.0\" cy="));                                   // 52 + 8: the first
  CHECK(has(report_html(whole), "cx=\"60.0\" cy="));
  r = sample(2), r.epochs.erase(r.epochs.begin());
  CHECK(has(report_html(r), "2 of 3 epochs, of which the figures of the first are lost"));
}

TEST_CASE("many classes become a list of what is mistaken most") {
  Report r = sample(1);
  r.classes.clear();
  r.confusion = Confusion(100);
  for (Index k = 0; k < 100; ++k) r.confusion.add(k, k);
  for (int i = 0; i < 3; ++i) r.confusion.add(7, 9);
  const std::string html = report_html(r);
  CHECK(fault(html) == "");
  CHECK(has(html, "<th scope=\"row\">class 7</th><td class=\"left\">class 9</td><td>3</td><td>4</td>"));
  CHECK_FALSE(has(html, "class=\"heat\""));
}
