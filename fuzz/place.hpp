// fuzz/place.hpp: a directory of the harness's own to meet in, removed when it ends.
#pragma once
#include <dirent.h>
#include <unistd.h>
#include <string>
#include "fuzz/fuzz.hpp"

namespace vdset::fuzz {

class Place {
 public:
  Place() {
    char name[] = "/tmp/vdset-fuzz-XXXXXX";
    VDSET_HOLDS(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Place() {
    if (DIR* const dir = opendir(path_.c_str())) {
      while (const dirent* entry = readdir(dir))
        if (entry->d_name[0] != '.') unlink((path_ + "/" + entry->d_name).c_str());
      closedir(dir);
    }
    rmdir(path_.c_str());
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
};

}  // namespace vdset::fuzz
