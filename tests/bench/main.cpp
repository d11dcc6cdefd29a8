// tests/bench/main.cpp: usage: bench MEASURE [--quick | --tiny]. Prints rows; bench.py runs this.
// `bench about` says what it was built with.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include "bench.hpp"
#include "crowd.hpp"

namespace {

const std::map<std::string, void (*)(bench::Size)> measures = {
    {"handles", bench::bench_handles}, {"trip", bench::bench_trip},
    {"one-processor", bench::bench_one_processor}, {"stream", bench::bench_stream},
    {"bulk", bench::bench_bulk}, {"devices", bench::bench_devices},
    {"times", bench::bench_times}, {"idle", bench::bench_idle},
};

const std::map<std::string, int (*)(const std::vector<std::string>&)> roles = {
    {"ping", bench::ping_pong_child}, {"peer", bench::peer_child}, {"vdset", bench::vdset_client},
    {"bulk", bench::bulk_child}, {"hog", bench::hog}, {"waiters", bench::waiters},
    {"joiner", bench::joiner}, {"crowd", bench::crowd_child},
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() > 1 && words[0] == "--child") {
    words.erase(words.begin());
    return roles.at(words[0])(words);
  }
  if (words.size() == 1 && words[0] == "about") {
    const bench::Hot hot(bench::processors().first, true);
    bench::say(std::string("{\"compiler\": \"g++ " __VERSION__ "\", \"real_time\": ") +
               (hot.raised() ? "true" : "false") + "}");
    return 0;
  }
  const auto measure = words.empty() ? measures.end() : measures.find(words[0]);
  bench::Size size = bench::Size::full;
  for (std::size_t i = 1; i < words.size(); ++i)
    size = words[i] == "--tiny" ? bench::Size::tiny : bench::Size::quick;
  if (measure == measures.end()) {
    std::string known;
    for (const auto& [name, run] : measures)
      known += " " + name;
    bench::die("usage: bench MEASURE [--quick | --tiny]; measures:" + known);
  }
  setenv("VDSET_RUNTIME_DIR", bench::scratch().c_str(), 1);
  measure->second(size);
}
