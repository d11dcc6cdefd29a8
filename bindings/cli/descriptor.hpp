// descriptor.hpp: a file descriptor that closes itself, and whole reads and writes through one.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace cli {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }
  void reset() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

/// Opens `path` with O_CLOEXEC; throws Failure naming `doing` and the path.
Descriptor open_file(const std::string& path, int flags, const char* doing);

/// Writes all of `bytes` at `offset`; throws Failure on the first error.
void write_fully_at(int descriptor, std::span<const std::uint8_t> bytes, std::uint64_t offset,
                    const std::string& path);

/// Reads until `out` is full or the file ends; returns the bytes read.
std::size_t read_fully_at(int descriptor, std::span<std::uint8_t> out, std::uint64_t offset,
                          const std::string& path);

/// Makes the names in a directory durable.
void sync_directory(const std::string& path);

/// Whether both paths lead to one file, through links of either kind. False when one leads nowhere.
bool is_same_file(const std::string& a, const std::string& b);

/// The directory part of a path: "." when it has none.
std::string directory_of(const std::string& path);

}  // namespace cli
