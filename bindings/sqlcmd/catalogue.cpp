// catalogue.cpp: names to files and back.
#include "catalogue.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "cli/bytes.hpp"
#include "cli/descriptor.hpp"
#include "cli/failure.hpp"
#include "lexer.hpp"

namespace sqlcmd {

namespace {

constexpr std::string_view suffix = ".db";
constexpr std::size_t name_bytes_max = 128;

std::optional<std::string> real_path(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return {};
  std::string text = resolved;
  std::free(resolved);
  return text;
}

}  // namespace

bool Catalogue::is_usable() const {
  struct stat status = {};
  return !directory_.empty() && ::stat(directory_.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool Catalogue::is_system(std::string_view name) {
  const std::string upper = upper_case(name);
  return upper == "MASTER" || upper == "MODEL" || upper == "MSDB" || upper == "TEMPDB";
}

bool Catalogue::is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > name_bytes_max || name[0] == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7F && c != '/';
  });
}

std::string Catalogue::path_of(const std::string& name) const {
  return directory_ + "/" + name + std::string(suffix);
}

std::string Catalogue::marker_of(const std::string& name) const {
  return directory_ + "/" + name + ".restoring";
}

bool Catalogue::exists(const std::string& name) const {
  return is_valid_name(name) && ::access(path_of(name).c_str(), F_OK) == 0;
}

bool Catalogue::is_restoring(const std::string& name) const {
  return ::access(marker_of(name).c_str(), F_OK) == 0;
}

void Catalogue::set_restoring(const std::string& name, bool is_restoring) const {
  if (is_restoring) {
    cli::open_file(marker_of(name), O_WRONLY | O_CREAT, "cannot mark as restoring");
  } else if (::unlink(marker_of(name).c_str()) != 0 && errno != ENOENT) {
    cli::fail_errno(errno, "cannot end the restoring", marker_of(name));
  }
  cli::sync_directory(directory_);
}

void Catalogue::remove_marker(const std::string& name) const {
  ::unlink(marker_of(name).c_str());
}

std::string Catalogue::real_path_of(const std::string& name) const {
  return resolved(path_of(name));
}

std::string Catalogue::resolved(const std::string& path) {
  if (const auto real = real_path(path)) return *real;
  const auto directory = real_path(cli::directory_of(path));
  if (!directory) return path;
  return (*directory == "/" ? "" : *directory) + "/" + path.substr(path.find_last_of('/') + 1);
}

void Catalogue::link(const std::string& name, const std::string& path) const {
  const std::string made =
      directory_ + "/." + name + "." + cli::uuid_text(cli::random_uuid()).substr(0, 8) + ".tmp";
  if (::symlink(path.c_str(), made.c_str()) != 0 ||
      ::rename(made.c_str(), path_of(name).c_str()) != 0) {
    const int error = errno;
    ::unlink(made.c_str());
    cli::fail_errno(error, "cannot link the database", path_of(name));
  }
  cli::sync_directory(directory_);
}

std::vector<std::string> Catalogue::names() const {
  std::vector<std::string> names;
  DIR* directory = directory_.empty() ? nullptr : ::opendir(directory_.c_str());
  if (directory == nullptr) return names;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view file = entry->d_name;
    if (!file.ends_with(suffix)) continue;
    const std::string_view name = file.substr(0, file.size() - suffix.size());
    if (is_valid_name(name)) names.emplace_back(name);
  }
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace sqlcmd
