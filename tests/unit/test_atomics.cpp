// tests/unit/test_atomics.cpp
// Goal: the table of access sites is a whole specification, and the production policy does what
// its names say.
// Method: the table is read as data; every operation of RealAtomics runs on a private word.
#include "core/atomics.hpp"
#include <map>
#include <set>
#include <string>
#include "tests/unit/support.hpp"

using namespace vdset::core;

namespace {

std::vector<std::string> split(const char* list) {
  std::vector<std::string> parts(1);
  for (const char* at = list; *at != 0; ++at) {
    if (*at == ',' || *at == ';')
      parts.emplace_back();
    else if (*at != ' ')
      parts.back() += *at;
  }
  return parts;
}

bool publishes(Order order) {
  return order == Order::release || order == Order::seq_cst;
}
bool observes(Order order) {
  return order == Order::acquire || order == Order::seq_cst;
}

}  // namespace

TEST_CASE("every site has one row, a name of its own and a partner or a reason") {
  std::set<std::string> names;
  std::size_t i = 0;
  for (const SiteRow& row : site_table) {
    CHECK(row.site == static_cast<Site>(i++));
    CHECK(names.insert(row.name).second);
    CHECK(std::strlen(row.partner) > 0);
    CHECK(site_order(row.site) == row.order);
  }
  CHECK(i == static_cast<std::size_t>(Site::count));
}

TEST_CASE("a site is relaxed exactly when it belongs to no edge") {
  for (const SiteRow& row : site_table) {
    CAPTURE(row.name);
    CHECK((row.order == Order::relaxed) == (std::string(row.edge) == "-"));
  }
}

TEST_CASE("every edge has an end that publishes and an end that observes") {
  std::map<std::string, std::pair<bool, bool>> ends;
  for (const SiteRow& row : site_table) {
    if (row.order == Order::relaxed) continue;
    for (const std::string& edge : split(row.edge)) {
      ends[edge].first |= publishes(row.order);
      ends[edge].second |= observes(row.order);
    }
  }
  for (const auto& [edge, both] : ends) {
    CAPTURE(edge);
    CHECK(both.first);
    CHECK(both.second);
  }
}

TEST_CASE("the partners of an ordered site are sites, and name it back") {
  std::map<std::string, std::set<std::string>> partners;
  for (const SiteRow& row : site_table)
    if (row.order != Order::relaxed)
      for (const std::string& partner : split(row.partner))
        partners[row.name].insert(partner);
  for (const auto& [site, others] : partners)
    for (const std::string& other : others) {
      CAPTURE(site);
      CAPTURE(other);
      bool exists = false;
      for (const SiteRow& row : site_table)
        exists = exists || row.name == other;
      CHECK(exists);
      // A relaxed partner stands behind a fence; an ordered one must agree.
      if (partners.contains(other)) CHECK(partners[other].contains(site));
    }
}

TEST_CASE("orders become the compiler's") {
  CHECK(builtin_order(Order::relaxed) == __ATOMIC_RELAXED);
  CHECK(builtin_order(Order::acquire) == __ATOMIC_ACQUIRE);
  CHECK(builtin_order(Order::release) == __ATOMIC_RELEASE);
  CHECK(builtin_order(Order::seq_cst) == __ATOMIC_SEQ_CST);
}

TEST_CASE("loads and stores move 32 bits") {
  Word word{7};
  CHECK(RealAtomics::load<Site::reap_word>(word) == 7);
  RealAtomics::store<Site::post_sequence>(word, 0xfedcba98u);
  CHECK(word.value == 0xfedcba98u);
}

TEST_CASE("an exchange succeeds only on the value expected, and else says what it found") {
  Word word{5};
  std::uint32_t expected = 4;
  CHECK_FALSE(RealAtomics::compare_exchange<Site::take_cas>(word, expected, 9));
  CHECK(expected == 5);
  CHECK(word.value == 5);
  CHECK(RealAtomics::compare_exchange<Site::take_cas>(word, expected, 9));
  CHECK(word.value == 9);
}

TEST_CASE("the read-modify-write operations return what was there before") {
  Word word{0xfffffffdu};
  CHECK(RealAtomics::fetch_add<Site::bell_bump>(word, 4) == 0xfffffffdu);
  CHECK(word.value == 1);
  CHECK(RealAtomics::fetch_or<Site::bell_arm>(word, 6) == 1);
  CHECK(word.value == 7);
  CHECK(RealAtomics::fetch_and<Site::bell_disarm>(word, ~1u) == 7);
  CHECK(word.value == 6);
  RealAtomics::fence<Site::post_fence>();
}
