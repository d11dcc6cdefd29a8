// tests/crash/thread_state.hpp: what a thread of another process does, as /proc says it.
#pragma once
#include <sys/types.h>
#include <cstdio>
#include <cstring>
#include <string>

namespace vdset {

/// R runs, or waits for a processor; S sleeps; T is stopped; Z has ended; '-': no such thread.
inline char thread_state(pid_t process, pid_t thread) {
  const std::string path =
      "/proc/" + std::to_string(process) + "/task/" + std::to_string(thread) + "/stat";
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return '-';
  char line[256] = {};
  const bool read = std::fgets(line, sizeof line, file) != nullptr;
  std::fclose(file);
  // Behind the name, which may hold anything.
  const char* const end = std::strrchr(line, ')');
  return read && end != nullptr && std::strlen(end) > 2 ? end[2] : '-';
}

}  // namespace vdset
