// abi/names.cpp: see names.hpp.
#include "abi/names.hpp"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include "abi/error.hpp"

namespace vdset {
namespace {

struct Path {
  char text[256];
};
constexpr std::size_t groups_max = 64;

/// The places to look in, in order (docs/rendezvous.md, "Where").
struct Places {
  Path at[groups_max + 4];
  bool create[groups_max + 4];
  std::size_t count = 0;
  bool explicit_place = false;

  void add(bool make, const char* format, const char* text, std::uint32_t number, bool numbered) {
    Path& path = at[count];
    create[count++] = make;
    if (numbered)
      std::snprintf(path.text, sizeof path.text, format, text, number);
    else
      std::snprintf(path.text, sizeof path.text, "%s", text);
  }
};

std::int32_t collect_places(const char* option, Places& out) {
  const char* const given = option != nullptr ? option : port::environment("VDSET_RUNTIME_DIR");
  if (given != nullptr && *given != 0) {
    if (std::strlen(given) >= sizeof(Path::text))
      return fail(VDSET_E_INVALID,
                  "directory: the path has more than 255 bytes; use a shorter one");
    out.explicit_place = true;
    out.add(false, "%s", given, 0, false);
    return VDSET_OK;
  }
  const std::uint32_t uid = port::effective_uid();
  out.add(true, "%s/%u/vdset", "/run/user", uid, true);  // Made only when /run/user/UID exists.
  std::uint32_t groups[groups_max];
  const std::size_t count = port::own_groups(groups);
  for (std::size_t i = 0; i < count; ++i) {
    bool seen = false;
    for (std::size_t j = 0; j < i; ++j)
      seen = seen || groups[j] == groups[i];
    if (!seen) out.add(false, "%s/%u", "/run/vdset", groups[i], true);
  }
  const char* const temporary = port::environment("TMPDIR");
  const bool usable = temporary != nullptr && *temporary == '/' && std::strlen(temporary) < 200;
  out.add(true, "%s/vdset-%u", usable ? temporary : "/tmp", uid, true);
  return VDSET_OK;
}

/// What the system lacks for now, as opposed to a place that is wrong.
bool is_want(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

/// Opens one place. 0, or -errno with last_error set for an explicit or untrusted one.
int open_place(const Places& places, std::size_t i, port::Directory& out) {
  const char* why = "";
  const int error = port::directory_open(places.at[i].text, places.create[i], out, why);
  if (error == -EPERM)
    fail(VDSET_E_SECURITY, "directory %s: %s; use one of your own with mode 0700",
         places.at[i].text, why);
  else if (is_want(error))
    fail_system(error, "cannot open the directory to meet in");
  else if (error != 0 && places.explicit_place)
    fail(VDSET_E_INVALID, "directory %s: %s; make it with mode 0700", places.at[i].text,
         std::strerror(-error));
  return error;
}

std::int32_t place_code(int error) {
  if (is_want(error)) return VDSET_E_MEMORY;
  return error == -EPERM || error == -EACCES ? VDSET_E_SECURITY : VDSET_E_INVALID;
}

/// Takes the name in a directory; under its lock.
std::int32_t take_name(const Name& name, HeldName& held, bool other_users) {
  port::nodes_clean(held.directory);
  held.lock = port::node_lock(held.directory, held.stem.text);
  if (held.lock == -EBUSY)
    return fail(VDSET_E_PROTOCOL,
                "set %s: the name is in use; close the other set or choose another name",
                name.text);
  if (held.lock < 0) return fail_system(held.lock, "cannot lock the set's name");
  port::node_remove(held.directory, held.stem.text, true);
  held.listener = port::socket_listen(held.directory, held.stem.text, other_users);
  if (held.listener >= 0) return VDSET_OK;
  const int error = held.listener;
  held.listener = -1;
  port::node_remove(held.directory, held.stem.text, false);
  port::close_descriptor(held.lock);
  return fail_system(error, "cannot listen under the set's name");
}

std::uint64_t fnv_1a(const char* text, std::size_t bytes, std::uint64_t hash) {
  for (std::size_t i = 0; i < bytes; ++i)
    hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x100000001b3ull;
  return hash;
}

}  // namespace

bool Name::operator==(const Name& other) const {
  return bytes == other.bytes && std::memcmp(text, other.text, bytes) == 0;
}

bool read_name(const char* text, std::size_t bytes, Name& out) {
  if (bytes == 0 || bytes > core::name_bytes_max) return false;
  if (std::memchr(text, 0, bytes) != nullptr || std::memchr(text, '\\', bytes) != nullptr)
    return false;
  out = {};
  out.bytes = static_cast<std::uint32_t>(bytes);
  std::memcpy(out.text, text, bytes);
  return true;
}

std::int32_t judge_name(const char* text, const char* what, Name& out) {
  if (text == nullptr) return fail(VDSET_E_INVALID, "%s name: NULL; give 1 to 255 bytes", what);
  if (read_name(text, strnlen(text, core::name_bytes_max + 1), out)) return VDSET_OK;
  return fail(VDSET_E_INVALID,
              "%s name: must be 1 to 255 bytes without a backslash; shorten or rename it", what);
}

Stem stem_of(const Name& name) {
  const std::uint64_t high = fnv_1a(name.text, name.bytes, 0xcbf29ce484222325ull);
  const std::uint64_t low = fnv_1a(name.text, name.bytes, high ^ 0x9e3779b97f4a7c15ull);
  Stem stem;
  std::snprintf(stem.text, sizeof stem.text, "v1-%016llx%016llx",
                static_cast<unsigned long long>(high), static_cast<unsigned long long>(low));
  return stem;
}

std::int32_t hold_name(const Name& name, const char* directory, bool other_users, HeldName& out) {
  Places places;
  std::int32_t result = collect_places(directory, places);
  if (result != VDSET_OK) return result;
  int error = -ENOENT;
  std::size_t i = 0;
  for (; i < places.count; ++i) {
    error = open_place(places, i, out.directory);
    if (error == 0 || places.explicit_place || is_want(error)) break;
  }
  if (error != 0 && (places.explicit_place || is_want(error))) return place_code(error);
  if (error != 0)
    return fail(VDSET_E_SECURITY,
                "no directory to meet in: tried up to %s; set VDSET_RUNTIME_DIR to one of your own",
                places.at[places.count - 1].text);
  out.stem = stem_of(name);
  error = port::directory_lock(out.directory);
  if (error == 0) {
    result = take_name(name, out, other_users);
    port::directory_unlock(out.directory);
  } else {
    result = fail(VDSET_E_UNEXPECTED, "directory %s: somebody holds its lock: %s",
                  places.at[i].text, std::strerror(-error));
  }
  if (result != VDSET_OK) port::close_descriptor(out.directory.descriptor);
  return result;
}

void free_name(HeldName& held) {
  if (held.lock < 0) return;
  port::close_descriptor(held.listener);
  // Without the directory's lock the nodes could be another's by now; they are then left to the
  // next Create.
  if (port::directory_lock(held.directory) == 0) {
    port::node_remove(held.directory, held.stem.text, true);
    port::node_remove(held.directory, held.stem.text, false);
    port::close_descriptor(held.lock);
    port::directory_unlock(held.directory);
  }
  drop_name(held);
}

void drop_name(HeldName& held) {
  port::close_descriptor(held.lock);
  port::close_descriptor(held.listener);
  port::close_descriptor(held.directory.descriptor);
}

Found find_name(const Name& name, const char* directory, std::int64_t deadline_ns) {
  Places places;
  const std::int32_t result = collect_places(directory, places);
  if (result != VDSET_OK) return {result, -1, {}};
  const Stem stem = stem_of(name);
  port::Directory found;
  std::size_t found_at = 0;
  int first_error = 0;
  for (std::size_t i = 0; i < places.count; ++i) {
    port::Directory at;
    places.create[i] = false;
    const int error = open_place(places, i, at);
    if (error != 0) {
      if (first_error == 0 && (places.explicit_place || error == -EPERM || is_want(error)))
        first_error = error;
      continue;
    }
    if (port::directory_lock(at) == 0) {  // Or else the next one cleans.
      port::nodes_clean(at);
      port::directory_unlock(at);
    }
    const bool here = port::node_is_held(at, stem.text);
    if (here && found.descriptor >= 0) {
      port::close_descriptor(at.descriptor);
      port::close_descriptor(found.descriptor);
      return {fail(VDSET_E_INVALID, "set %s: found in %s and in %s; name the directory", name.text,
                   places.at[found_at].text, places.at[i].text),
              -1,
              {}};
    }
    if (here) {
      found = at;
      found_at = i;
    } else {
      port::close_descriptor(at.descriptor);
    }
  }
  if (found.descriptor < 0) {
    if (first_error != 0) return {place_code(first_error), -1, {}};
    return {fail(VDSET_E_INVALID, "set %s: no such set; create it first, in the same directory",
                 name.text),
            -1,
            {}};
  }
  const int socket = port::socket_connect(found, stem.text, deadline_ns);
  if (socket >= 0) return {VDSET_OK, socket, found};
  port::close_descriptor(found.descriptor);
  if (socket == -EACCES || socket == -EPERM)
    return {fail(VDSET_E_SECURITY, "set %s: this user may not connect to it", name.text), -1, {}};
  if (socket == -ETIMEDOUT)
    return {fail(VDSET_E_TIMEOUT, "set %s: it does not take connections", name.text), -1, {}};
  if (is_want(socket)) return {fail_system(socket, "cannot connect to the set"), -1, {}};
  return {fail(VDSET_E_INVALID, "set %s: cannot connect: %s", name.text, std::strerror(-socket)),
          -1,
          {}};
}

bool is_admitted(int socket, const port::Credentials& peer, const AccessPolicy& access) {
  if (peer.uid == 0 || peer.uid == port::effective_uid()) return true;
  for (std::uint32_t i = 0; i < access.uid_count && i < allowed_uids_max; ++i)
    if (access.uids[i] == peer.uid) return true;
  return access.has_gid != 0 && port::peer_in_group(socket, peer, access.gid);
}

}  // namespace vdset
