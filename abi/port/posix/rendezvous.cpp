// abi/port/posix/rendezvous.cpp: directories, name locks, sockets, descriptors in packets, and who
// the peer is (docs/rendezvous.md).
#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "abi/port/port.hpp"
#include "abi/port/posix/sys.hpp"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace vdset::port {
namespace {

constexpr std::int64_t lock_wait_ns = 5'000'000'000;
constexpr int cleaned_max = 64;
constexpr std::size_t groups_max = 256;
// A pipe that somebody put in the place of a node must not hold us up.
constexpr int node_flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

struct NodePath {
  char text[108];
};
NodePath node_path(const Directory& d, const char* stem, const char* suffix) {
  NodePath path;
  std::snprintf(path.text, sizeof path.text, "/proc/self/fd/%d/%s.%s", d.descriptor, stem, suffix);
  return path;
}

bool in_own_groups(std::uint32_t gid) {
  std::uint32_t groups[groups_max];
  const std::size_t count = own_groups(groups);
  for (std::size_t i = 0; i < count; ++i)
    if (groups[i] == gid) return true;
  return false;
}

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

/// Gives a node of our own the directory's group and its mode, whatever the umask is. Through a
/// descriptor of the node itself: in a group directory a member could put a link to another file of
/// this user in its place. 0 or -errno; a node that is not ours stays as it is.
int set_node_mode(const Directory& d, int node, mode_t kind, mode_t mode) {
  struct stat st;
  if (fstat(node, &st) != 0) return -errno;
  if ((st.st_mode & S_IFMT) != kind || st.st_nlink > 1) return -EPERM;
  if (st.st_uid != geteuid()) return 0;
  // Stays 0600 when the group is refused: refuses, never admits.
  if (d.group && fchownat(node, "", static_cast<uid_t>(-1), d.gid, AT_EMPTY_PATH) != 0) return 0;
  char path[40];  // A descriptor made with O_PATH has no fchmod.
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", node);
  return sys(Call::chmod, [&] { return chmod(path, mode); }) == 0 ? 0 : -errno;
}

/// 1 unlocked, 0 held, -errno.
int is_unlocked(int fd) {
  struct flock lock = whole_file(F_WRLCK);
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -errno;
  return lock.l_type == F_UNLCK ? 1 : 0;
}

int unix_socket() {
  return sys(Call::socket,
             [] { return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); });
}

sockaddr_un address_of(const NodePath& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  static_assert(sizeof address.sun_path >= sizeof path.text);
  std::memcpy(address.sun_path, path.text, sizeof path.text);
  return address;
}

/// A small file of /proc, as text. False: it cannot be read.
struct ProcText {
  char bytes[1024];
};
bool read_proc(const char* path, ProcText& out) {
  const int fd = sys(Call::proc, [&] { return open(path, O_RDONLY | O_CLOEXEC); });
  if (fd < 0) return false;
  const ssize_t got = read(fd, out.bytes, sizeof out.bytes - 1);
  close(fd);
  if (got <= 0) return false;
  out.bytes[got] = 0;
  return true;
}

/// The n-th field of a stat file, from the 4th on; 0 when it is not there.
std::uint64_t stat_field(const ProcText& stat, int n) {
  const char* at = std::strrchr(stat.bytes, ')');  // The name before it may hold anything.
  for (int field = 2; at != nullptr && field < n; ++field)
    at = std::strchr(at + 1, ' ');
  return at != nullptr ? std::strtoull(at, nullptr, 10) : 0;
}

std::uint64_t start_time(std::uint32_t pid) {
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%u/stat", pid);
  ProcText stat;
  return read_proc(path, stat) ? stat_field(stat, 22) : 0;
}

/// The number under which /proc shows the process of a pidfd, whatever namespace /proc is of. Not
/// positive: it does not show it.
long pid_in_proc(int pidfd) {
  char path[40];
  std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  ProcText text;
  const char* const at = read_proc(path, text) ? std::strstr(text.bytes, "\nPid:") : nullptr;
  return at != nullptr ? std::strtol(at + 5, nullptr, 10) : -1;
}

/// Sets `threads` to how many the process of this thread has.
Life life_of_thread(const char* path, std::uint64_t& threads) {
  constexpr std::uint64_t is_exiting = 0x4;  // PF_EXITING: set before the first file is closed.
  ProcText stat;
  if (!read_proc(path, stat)) return Life::unknown;
  threads = stat_field(stat, 20);
  return (stat_field(stat, 9) & is_exiting) != 0 ? Life::exiting : Life::alive;
}

/// The first thread may have ended long before the others. Whoever has more than a few hundred
/// cannot make anybody read for long: of them the time tells.
Life life_of_threads(long pid) {
  constexpr unsigned threads_max = 256;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  std::uint64_t threads = 0;
  const Life first = life_of_thread(path, threads);
  if (first != Life::exiting || threads <= 1) return first;
  std::snprintf(path, sizeof path, "/proc/%ld/task", pid);
  DIR* const dir = opendir(path);
  if (dir == nullptr) return Life::unknown;
  Life found = Life::exiting;
  unsigned read = 0;
  while (const dirent* entry = found == Life::exiting ? readdir(dir) : nullptr) {
    if (++read > threads_max) found = Life::unknown;
    const long thread = std::strtol(entry->d_name, nullptr, 10);
    std::snprintf(path, sizeof path, "/proc/%ld/task/%ld/stat", pid, thread);
    if (thread > 0 && read <= threads_max && life_of_thread(path, threads) == Life::alive)
      found = Life::alive;
  }
  closedir(dir);
  return found;
}

}  // namespace

std::uint32_t effective_uid() {
  return geteuid();
}
bool is_own_user(std::uint32_t uid) {
  constexpr std::uint32_t overflow_uid = 65534;
  return uid == geteuid() && uid != overflow_uid;
}
std::uint32_t effective_gid() {
  return getegid();
}
std::uint32_t own_pid() {
  return static_cast<std::uint32_t>(getpid());
}

std::size_t own_groups(gsl::span<std::uint32_t> out) {
  static_assert(sizeof(gid_t) == sizeof(std::uint32_t));
  if (out.empty()) return 0;
  out[0] = getegid();
  const int got =
      getgroups(static_cast<int>(out.size() - 1), reinterpret_cast<gid_t*>(out.data() + 1));
  return 1 + (got > 0 ? static_cast<std::size_t>(got) : 0);
}

int directory_open(const char* path, bool create, Directory& out, const char*& why) {
  why = "";
  if (create && sys(Call::mkdir, [&] { return mkdir(path, 0700); }) != 0 && errno != EEXIST &&
      errno != ENOENT)
    return -errno;
  int fd =
      sys(Call::open, [&] { return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); });
  if (fd < 0) {
    if (errno == ELOOP || errno == ENOTDIR) why = "it is not a directory";
    return errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
  }
  struct stat st;
  int error = fstat(fd, &st) != 0 ? -errno : 0;
  const bool group = (st.st_mode & S_IWGRP) != 0;
  if (error == 0 && st.st_uid != geteuid() && st.st_uid != 0)
    why = "its owner is neither this user nor root";
  if (error == 0 && (st.st_mode & S_IWOTH) != 0) why = "everybody may write into it";
  if (error == 0 && group && !in_own_groups(st.st_gid))
    why = "a group that this user is not in may write into it";
  if (error == 0 && *why != 0) error = -EPERM;
  if (error == 0) {
    out = {fd, group, st.st_gid, (st.st_mode & S_IROTH) != 0, -1};
    return 0;
  }
  close_descriptor(fd);
  return error;
}

int directory_lock(Directory& directory) {
  const std::int64_t deadline = now_ns() + lock_wait_ns;
  // Whoever can open a file can hold its flock. Where others can open the directory, a node that
  // they cannot open stands for it.
  int at = directory.descriptor;
  if (directory.listed) {
    NodePath path;
    std::snprintf(path.text, sizeof path.text, "/proc/self/fd/%d/.v1", directory.descriptor);
    at = sys(Call::open, [&] { return open(path.text, O_RDWR | O_CREAT | node_flags, 0600); });
    if (at < 0) return -errno;
    const int done = set_node_mode(directory, at, S_IFREG, directory.group ? 0660 : 0600);
    directory.lock = at;
    if (done != 0) return close_descriptor(directory.lock), done;
  }
  for (;;) {
    if (sys(Call::lock, [&] { return flock(at, LOCK_EX | LOCK_NB); }) == 0) return 0;
    int error = -errno;
    if (error == -EWOULDBLOCK && now_ns() > deadline) error = -ETIMEDOUT;
    if (error != -EWOULDBLOCK && error != -EINTR) {
      close_descriptor(directory.lock);
      return error;
    }
    pause_briefly();
  }
}

void directory_unlock(Directory& directory) {
  flock(directory.lock >= 0 ? directory.lock : directory.descriptor, LOCK_UN);
  close_descriptor(directory.lock);
}

int node_lock(const Directory& directory, const char* stem) {
  const NodePath path = node_path(directory, stem, "lock");
  int fd = sys(Call::open, [&] { return open(path.text, O_RDWR | O_CREAT | node_flags, 0600); });
  if (fd < 0) return -errno;
  struct flock lock = whole_file(F_WRLCK);
  int error = set_node_mode(directory, fd, S_IFREG, directory.group ? 0660 : 0600);
  if (error == 0 && sys(Call::lock, [&] { return fcntl(fd, F_OFD_SETLK, &lock); }) != 0)
    error = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
  if (error == 0) return fd;
  close_descriptor(fd);
  return error;
}

bool node_is_held(const Directory& directory, const char* stem) {
  int fd = open(node_path(directory, stem, "lock").text, O_RDONLY | node_flags);
  // Another user's, in a group directory: the connect will tell.
  if (fd < 0) return errno != ENOENT;  // What cannot be read is in use.
  const bool held = is_unlocked(fd) != 1;
  close_descriptor(fd);
  return held;
}

void node_remove(const Directory& directory, const char* stem, bool socket) {
  unlink(node_path(directory, stem, socket ? "sock" : "lock").text);
}

void nodes_clean(const Directory& directory) {
  const int copy = openat(directory.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const dir = copy >= 0 ? fdopendir(copy) : nullptr;
  if (dir == nullptr) {
    if (copy >= 0) close(copy);
    return;
  }
  int cleaned = 0;
  while (const dirent* entry = cleaned < cleaned_max ? readdir(dir) : nullptr) {
    const std::size_t length = std::strlen(entry->d_name);
    char stem[64];
    if (std::strncmp(entry->d_name, "v1-", 3) != 0 || length < 8 || length >= sizeof stem) continue;
    std::memcpy(stem, entry->d_name, length - 5);
    stem[length - 5] = 0;
    const bool is_lock = std::strcmp(entry->d_name + length - 5, ".lock") == 0;
    const bool is_socket = std::strcmp(entry->d_name + length - 5, ".sock") == 0;
    if ((!is_lock && !is_socket) || node_is_held(directory, stem)) continue;
    node_remove(directory, stem, true);
    node_remove(directory, stem, false);
    ++cleaned;
  }
  closedir(dir);
}

int socket_listen(const Directory& directory, const char* stem, bool other_users) {
  int fd = unix_socket();
  if (fd < 0) return -errno;
  const NodePath path = node_path(directory, stem, "sock");
  const sockaddr_un address = address_of(path);
  int failed = sys(Call::bind, [&] {
    return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  });
  const bool bound = failed == 0;
  if (bound) {
    const mode_t own = directory.group ? 0660 : 0600;
    int node = open(path.text, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    const int done =
        node < 0 ? -errno : set_node_mode(directory, node, S_IFSOCK, other_users ? 0666 : own);
    close_descriptor(node);
    if (done != 0) {
      failed = -1;
      errno = -done;
    }
  }
  if (failed == 0) {
    failed = sys(Call::listen, [&] { return listen(fd, 64); });
  }
  if (failed == 0) return fd;
  const int error = -errno;
  if (bound) unlink(path.text);
  close_descriptor(fd);
  return error;
}

int socket_connect(const Directory& directory, const char* stem, std::int64_t deadline_ns,
                   bool refuses) {
  int fd = unix_socket();
  if (fd < 0) return -errno;
  if (refuses) refuse_descriptors(fd, true);
  const sockaddr_un address = address_of(node_path(directory, stem, "sock"));
  for (;;) {
    if (sys(Call::connect, [&] {
          return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
        }) == 0)
      return fd;
    if (errno != EAGAIN && errno != EINTR) break;  // EAGAIN: the backlog is full.
    if (now_ns() > deadline_ns) {
      errno = ETIMEDOUT;
      break;
    }
    pause_briefly();
  }
  const int error = -errno;
  close_descriptor(fd);
  return error;
}

int socket_judge(int descriptor, bool listening) {
  int is_listening = 0;
  int type = 0;
  int domain = 0;
  socklen_t size = sizeof(int);
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 ||
      getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
    return -errno;
  const bool fits = domain == AF_UNIX && type == SOCK_SEQPACKET && (is_listening != 0) == listening;
  return fits ? 0 : -EPERM;
}

bool refuse_descriptors(int socket, bool refused) {
  const int passes = refused ? 0 : 1;
  const auto set = [&] {
    return setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &passes, sizeof passes);
  };
  // What was refused can be allowed again.
  return (refused ? sys(Call::passrights, set) : set()) == 0;
}

int can_refuse_descriptors() {
  int socket = unix_socket();
  if (socket < 0) return -errno;
  const bool can = refuse_descriptors(socket, true);
  close_descriptor(socket);
  return can ? 1 : 0;
}

bool name_senders(int socket, bool named) {
  const int passes = named ? 1 : 0;
  return setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &passes, sizeof passes) == 0;
}

bool has_unread(int socket) {
  int bytes = 0;
  return ioctl(socket, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

bool is_hung_up(int socket) {
  pollfd p{socket, POLLRDHUP, 0};
  return poll(&p, 1, 0) > 0 && (p.revents & POLLNVAL) == 0;
}

void socket_end(int& socket) {
  if (socket >= 0) shutdown(socket, SHUT_RDWR);
  close_descriptor(socket);
}

std::uint64_t socket_identity(int socket) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

int socket_accept(int listener) {
  return result_of(sys(Call::accept, [&] {
    return accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  }));
}

int socket_make_pair(int out[2]) {
  return result_of(sys(Call::socketpair, [&] {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out);
  }));
}

int packet_send(int socket, const Packet& packet) {
  iovec io{packet.bytes, packet.size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * descriptors_max)] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (packet.descriptor_count > 0) {
    const std::size_t bytes = sizeof(int) * packet.descriptor_count;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), packet.descriptors, bytes);
  }
  ssize_t sent;
  do {
    sent =
        sys(Call::sendmsg, [&] { return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
  } while (sent < 0 && errno == EINTR);
  // Once, of a peer that closed before it had read everything.
  if (sent < 0) return errno == ECONNRESET ? -EPIPE : -errno;
  return 0;
}

int packet_receive(int socket, Packet& packet) {
  iovec io{packet.bytes, packet.size};
  constexpr std::size_t descriptor_bytes = CMSG_SPACE(sizeof(int) * descriptors_max);
  alignas(cmsghdr) char control[descriptor_bytes + CMSG_SPACE(sizeof(ucred))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  // Without room the kernel drops them unseen: closing some kinds of file takes as long as their
  // owner likes.
  message.msg_control = packet.takes_descriptors ? control : nullptr;
  message.msg_controllen = packet.takes_descriptors ? sizeof control : 0;
  packet.descriptor_count = 0;
  ssize_t got;
  // A peer that closed before it had read everything resets the socket: the kernel says so once,
  // ahead of what the peer had sent.
  bool reset = false, again = false;
  do {
    got = sys(Call::recvmsg,
              [&] { return recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
    again = got < 0 && (errno == EINTR || (errno == ECONNRESET && !reset));
    reset |= again && errno == ECONNRESET;
  } while (again);
  if (got < 0) return errno == ECONNRESET ? -EPIPE : -errno;
  bool too_many = false;
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(h), sizeof sender);
      if (sender.pid != 0) packet.sender_uid = sender.uid;  // Else it was sent before that.
    }
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
      too_many = packet.descriptor_count == descriptors_max;
      if (too_many)
        close_descriptor(descriptor);  // There was room for it, as nobody was named.
      else
        packet.descriptors[packet.descriptor_count++] = descriptor;
    }
  }
  const bool whole = static_cast<std::size_t>(got) == packet.size && !too_many &&
                     (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  if (got > 0 && whole) return 0;
  // Cut although there was room: this process has no free descriptor numbers.
  const bool want = got > 0 && (message.msg_flags & MSG_CTRUNC) != 0 && packet.takes_descriptors &&
                    packet.descriptor_count < descriptors_max;
  for (std::size_t i = 0; i < packet.descriptor_count; ++i)
    close_descriptor(packet.descriptors[i]);
  packet.descriptor_count = 0;
  if (want) return -EMFILE;
  return got == 0 ? -EPIPE : -EPROTO;
}

namespace {
constexpr char look_byte = 'v';
}

int look_send(int socket) {
  return sys(Call::sendmsg,
             [&] { return send(socket, &look_byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT); }) < 0
             ? -errno
             : 0;
}

int look_receive(int socket) {
  char byte = 0;
  // With MSG_TRUNC it tells the whole length of the packet. One after the other: recvmmsg costs
  // more for the one that there mostly is.
  const ssize_t got =
      sys(Call::recvmsg, [&] { return recv(socket, &byte, 1, MSG_DONTWAIT | MSG_TRUNC); });
  if (got < 0) return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
  if (got == 0) return -EPIPE;
  return got == 1 && byte == look_byte ? 1 : -EPROTO;
}

int peer_credentials(int socket, Credentials& out) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (sys(Call::peercred,
          [&] { return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size); }) != 0)
    return -errno;
  out = {static_cast<std::uint32_t>(peer.pid), peer.uid, peer.gid};
  return 0;
}

bool peer_in_group(int socket, const Credentials& peer, std::uint32_t gid) {
  if (peer.gid == gid) return true;
  gid_t groups[groups_max];
  socklen_t size = sizeof groups;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) return false;
  for (std::size_t i = 0; i < size / sizeof(gid_t); ++i)
    if (groups[i] == gid) return true;
  return false;
}

int peer_watch(int socket, const Credentials& peer) {
  int fd = -1;
  socklen_t size = sizeof fd;
  // Linux 6.5: the kernel's own word for who connected.
  if (sys(Call::peerpidfd,
          [&] { return getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size); }) == 0)
    return fd;
  if (peer.pid == 0) return -ESRCH;  // A foreign pid namespace: its pid says nothing here.
  // Older kernels: the pid may be reused between connect and here, unless its start time is the
  // same before
  // and after and the peer, which holds the socket open, is still connected.
  const std::uint64_t before = start_time(peer.pid);
  fd =
      static_cast<int>(sys(Call::pidfd_open, [&] { return syscall(SYS_pidfd_open, peer.pid, 0); }));
  if (fd < 0) return -errno;
  pollfd hangup{socket, 0, 0};
  const bool connected = poll(&hangup, 1, 0) == 0;
  if (before != 0 && before == start_time(peer.pid) && connected) return fd;
  close_descriptor(fd);
  return -ESRCH;
}

Life life_of(int pidfd) {
  if (pidfd < 0) return Life::unknown;
  const long pid = pid_in_proc(pidfd);
  const Life seen = pid > 0 ? life_of_threads(pid) : Life::unknown;
  // After the look: its number is nobody else's until the pidfd says that it ended.
  return wait_readable(pidfd, 0) == 1 ? Life::ended : seen;
}

bool has_peer_pidfd() {
  int pair[2];
  if (socket_make_pair(pair) < 0) return false;
  int fd = -1;
  socklen_t size = sizeof fd;
  const bool has = sys(Call::peerpidfd, [&] {
                     return getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &fd, &size);
                   }) == 0;
  close_descriptor(fd);
  close_descriptor(pair[0]);
  close_descriptor(pair[1]);
  return has;
}

}  // namespace vdset::port
