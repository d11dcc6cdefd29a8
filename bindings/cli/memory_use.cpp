// memory_use.cpp: reads /proc/self/status and /proc/self/smaps.
#include "memory_use.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

namespace cli {

namespace {

constexpr std::uint64_t kib_bytes = 1024;

struct FilePages {
  bool is_code = false;  // Some mapping of the file may be executed: a program or a library.
  std::uint64_t resident_bytes = 0;
};

std::uint64_t field_bytes(const char* line, const char* name) {
  const std::size_t name_bytes = std::strlen(name);
  if (std::strncmp(line, name, name_bytes) != 0) return 0;
  std::uint64_t kib = 0;
  if (std::sscanf(line + name_bytes, ": %" SCNu64 " kB", &kib) != 1) return 0;
  return kib * kib_bytes;
}

/// A mapping's first line is "from-to rwxp offset device inode   path"; the others are fields.
bool read_mapping_line(const char* line, std::string& path, bool& is_code) {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  char permissions[8] = {};
  int path_at = 0;
  if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %n", &from, &to, permissions,
                  &path_at) < 3) {
    return false;
  }
  path = path_at > 0 ? line + path_at : "";
  if (!path.empty() && path.back() == '\n') path.pop_back();
  is_code = std::strchr(permissions, 'x') != nullptr;
  return true;
}

std::uint64_t library_resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/smaps", "re");
  if (file == nullptr) return 0;
  std::map<std::string, FilePages> files;
  FilePages* current = nullptr;
  char line[4400];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    std::string path;
    bool is_code = false;
    if (read_mapping_line(line, path, is_code)) {
      current = path.empty() || path[0] != '/' ? nullptr : &files[path];
      if (current != nullptr && is_code) current->is_code = true;
    } else if (current != nullptr) {
      current->resident_bytes += field_bytes(line, "Rss");
      current->resident_bytes -= field_bytes(line, "Anonymous");  // Written copies are ours.
    }
  }
  std::fclose(file);
  std::uint64_t total_bytes = 0;
  for (const auto& [path, pages] : files) {
    if (pages.is_code) total_bytes += pages.resident_bytes;
  }
  return total_bytes;
}

}  // namespace

MemoryUse measure_memory() {
  MemoryUse use;
  use.library_bytes = library_resident_bytes();
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return use;
  char line[256];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    use.peak_bytes += field_bytes(line, "VmHWM");
    use.shared_bytes += field_bytes(line, "RssShmem");
  }
  std::fclose(file);
  const std::uint64_t apart_bytes = use.shared_bytes + use.library_bytes;
  use.private_peak_bytes = use.peak_bytes > apart_bytes ? use.peak_bytes - apart_bytes : 0;
  return use;
}

}  // namespace cli
