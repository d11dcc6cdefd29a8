// descriptor.cpp: whole reads and writes; EINTR is nobody's business but ours.
#include "descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "failure.hpp"

namespace cli {

Descriptor open_file(const std::string& path, int flags, const char* doing) {
  const int number = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (number < 0) fail_errno(errno, doing, path);
  return Descriptor(number);
}

void write_fully_at(int descriptor, std::span<const std::uint8_t> bytes, std::uint64_t offset,
                    const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno(errno, "cannot write", path);
    if (written == 0) fail_errno(ENOSPC, "cannot write", path);
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

std::size_t read_fully_at(int descriptor, std::span<std::uint8_t> out, std::uint64_t offset,
                          const std::string& path) {
  std::size_t filled_bytes = 0;
  while (filled_bytes < out.size()) {
    const ssize_t got = ::pread(descriptor, out.data() + filled_bytes, out.size() - filled_bytes,
                                static_cast<off_t>(offset + filled_bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(errno, "cannot read", path);
    if (got == 0) break;
    filled_bytes += static_cast<std::size_t>(got);
  }
  return filled_bytes;
}

void sync_directory(const std::string& path) {
  const Descriptor directory = open_file(path, O_RDONLY | O_DIRECTORY, "cannot open directory");
  // Some file systems have no fsync for directories and say EINVAL: then there is nothing to do.
  if (::fsync(directory.number()) != 0 && errno != EINVAL) {
    fail_errno(errno, "cannot make the directory durable", path);
  }
}

bool is_same_file(const std::string& a, const std::string& b) {
  struct stat of_a = {};
  struct stat of_b = {};
  return ::stat(a.c_str(), &of_a) == 0 && ::stat(b.c_str(), &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace cli
