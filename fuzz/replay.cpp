// fuzz/replay.cpp: the main function of a harness in an ordinary build: runs it once with every
// file of the folders and files named, and once with nothing.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>
#include "fuzz/fuzz.hpp"

int main(int count, char** names) {
  std::vector<std::filesystem::path> files;
  bool whole = false;
  for (int i = 1; i < count; ++i) {
    if (!std::filesystem::is_directory(names[i])) {
      files.emplace_back(names[i]);
      continue;
    }
    whole = true;
    for (const auto& entry : std::filesystem::directory_iterator(names[i]))
      files.push_back(entry.path());
  }
  if (files.empty()) {
    std::puts("0 passed, 1 failed");  // A corpus that is gone must not go unnoticed.
    return 1;
  }
  std::sort(files.begin(), files.end());
  LLVMFuzzerTestOneInput(nullptr, 0);
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
    // Its own size on the heap, so that a sanitizer sees a read beyond it.
    std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  const int missed = whole ? vdset::fuzz::Goal::missed() : 0;
  std::printf("%zu passed, %d failed\n", files.size() + 1, missed);
  return missed == 0 ? 0 : 1;
}
