// abi/port/port.hpp: the whole operating system, as the library sees it. Linux: port/posix; a port
// that refuses everything: port/stub.
//
// Conventions: int results are 0 or more on success and -errno on failure; a failed call leaves
// nothing behind. Descriptors are close-on-exec. No
// call throws, installs a signal handler, or is a cancellation point that matters: library threads
// block all signals.
#pragma once
#include <cstddef>
#include <cstdint>
#include <gsl/span>
#include "core/atomics.hpp"

namespace vdset::port {

// ---- Time

inline constexpr std::int64_t never = INT64_MAX;

/// Nanoseconds of the monotonic clock.
std::int64_t now_ns();
/// The absolute deadline of a timeout: negative is never; saturates.
std::int64_t deadline_after(std::int64_t timeout_ns);
/// Tells the processor that the caller spins.
inline void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#else
  asm volatile("" ::: "memory");
#endif
}
unsigned processor_count();
/// Fills with unpredictable bytes. -errno when the system has none.
int random_bytes(gsl::span<std::byte> out);

// ---- Memory parts

std::uint32_t page_bytes();

/// What a sealed part promises (docs/format.md).
enum class Seal : std::uint8_t { fixed_size, fixed_size_and_writers };

/// An unnamed memory file of exactly `bytes` zero bytes, every page allotted. Returns the
/// descriptor.
int memory_create(std::uint64_t bytes);
/// Seals it. With writers: whoever maps it later can only read. Kernels without that seal: fixed
/// size only.
int memory_seal(int descriptor, Seal seal);
/// Whether the kernel can seal out later writers (F_SEAL_FUTURE_WRITE, Linux 5.1).
bool has_seal_writers();
/// Judges a received part: regular memory file, exact size, sealed. 0 or -EINVAL/-EPERM.
int memory_judge(int descriptor, std::uint64_t bytes, Seal seal);
/// Whether nobody who maps it from now on can write into it.
bool memory_is_read_only(int descriptor);
/// Size of a memory file that can never have another, or -errno.
std::int64_t memory_size(int descriptor);

/// A mapping between guard pages, its base at a multiple of 64 KiB. Not inherited by fork.
struct Mapping {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  gsl::span<std::byte> span() const { return {base, bytes}; }
};
int memory_map(int descriptor, std::uint64_t bytes, bool writable, Mapping& out);
void memory_unmap(Mapping& mapping);
/// Replaces the pages of [offset, offset+bytes) by new ones (zero): a kernel that still writes into
/// the old ones writes into nothing. On failure they may be cleared all the same; -EBUSY: not all
/// are new, for somebody holds one that is part of a large page. May take some 10 ms.
int memory_renew(int descriptor, std::uint64_t offset, std::uint64_t bytes);
/// What a store does, where pages may be missing: that there is no memory is an error. 0 or -errno.
int memory_write(int descriptor, std::uint64_t offset, gsl::span<const std::byte> from);
/// Bytes that could be allotted now without driving the system or the memory cgroup out of memory.
std::uint64_t memory_available();

/// Whether so many more descriptors can be had now.
bool has_descriptors(unsigned count);
/// Closes; ignores negative numbers; sets the variable to -1.
void close_descriptor(int& descriptor);

// ---- Waiting

enum class Woken : std::uint8_t { maybe, timed_out };

/// Sleeps while `word` is `value` (and `alive`, if given, is `alive_value`), until woken or the
/// deadline. May wake for no reason. Words may be
/// mapped read-only. Without futex_waitv only `word` is slept on (has_wait_many).
Woken wait_word(const core::Word& word, std::uint32_t value, const core::Word* alive,
                std::uint32_t alive_value, std::int64_t deadline_ns);

struct WordValue {
  const core::Word* word;
  std::uint32_t value;
};
inline constexpr std::size_t wait_words_max = 72;
/// Sleeps while every word has its value (at most wait_words_max of them), until one is woken or
/// the deadline. Without futex_waitv only the first is slept on.
Woken wait_words(gsl::span<const WordValue> words, std::int64_t deadline_ns);
/// Wakes every sleeper of `word`, in all processes.
void wake_word(const core::Word& word);
/// Whether one sleep can watch two words (Linux 5.16).
bool has_wait_many();

// ---- Rendezvous: directories, sockets

struct Credentials {
  std::uint32_t pid;
  std::uint32_t uid;
  std::uint32_t gid;
};
inline constexpr std::uint32_t no_uid = ~0u;
std::uint32_t effective_uid();
/// Never true of 65534, which stands for all whom the kernel cannot name here.
bool is_own_user(std::uint32_t uid);
std::uint32_t effective_gid();
std::uint32_t own_pid();
/// Effective and supplementary groups; returns how many (at most out.size()).
std::size_t own_groups(gsl::span<std::uint32_t> out);
/// Value of an environment variable, or null; null in set-user-id programs.
const char* environment(const char* name);

/// What a rendezvous directory is.
struct Directory {
  int descriptor = -1;
  bool group = false;  // Writable by a group that this process is in.
  std::uint32_t gid = 0;
  bool listed = false;  // Others may open it.
  int lock = -1;        // Of directory_lock, when it is not the directory itself.
};
/// Opens and judges. create: make it (0700) if missing. -EPERM: not to be trusted; `why` gets a
/// static sentence.
int directory_open(const char* path, bool create, Directory& out, const char*& why);
/// Short exclusive hold of the directory, gone with the process. At most 5 s, else -ETIMEDOUT.
int directory_lock(Directory& directory);
void directory_unlock(Directory& directory);
/// The nodes of one name. `stem` has no slash. All but node_is_held under directory_lock.
// Descriptor that holds the name; -EBUSY.
int node_lock(const Directory& directory, const char* stem);
bool node_is_held(const Directory& directory, const char* stem);
void node_remove(const Directory& directory, const char* stem, bool socket);
/// Removes nodes of names that nobody holds; bounded.
void nodes_clean(const Directory& directory);
int socket_listen(const Directory& directory, const char* stem,
                  bool other_users);  // Listener at stem.sock.
/// `refuses`: nobody can ever send descriptors to it, where the kernel knows that.
int socket_connect(const Directory& directory, const char* stem, std::int64_t deadline_ns,
                   bool refuses = false);
int socket_accept(int listener);
int socket_make_pair(int out[2]);
/// Whether a descriptor that a peer passed is what it is said to be, a packet socket of this
/// system, before anything else is done with it. 0, or -errno.
int socket_judge(int descriptor, bool listening);
/// From now on nobody can send descriptors to this socket. A listener's connections inherit it.
/// False before Linux 6.16: they are received and closed, which takes as long as the sender likes
/// (SO_LINGER).
bool refuse_descriptors(int socket, bool refused);
/// Whether it does: 1, 0; or -errno where no socket can be made to ask.
int can_refuse_descriptors();
/// Whether the kernel names who sends what comes from now on; it gives the socket an abstract name
/// for that. Who made a connection's other end, whom peer_credentials names, may have passed it on.
bool name_senders(int socket, bool named);
/// Whether the peer has not yet read all that was sent to it.
bool has_unread(int socket);
bool is_hung_up(int socket);
/// Closes it, also for the peer of one that a child or another process holds as well.
void socket_end(int& socket);
/// What no other socket has while the system runs; 0 for what is none (any more).
std::uint64_t socket_identity(int socket);

inline constexpr std::size_t descriptors_max = 12;  // Per packet; more are closed.

struct Packet {
  std::byte* bytes;
  std::size_t size;  // Exact, in both directions.
  int descriptors[descriptors_max];
  std::size_t descriptor_count;
  bool takes_descriptors = true;  // Else those that come are not received, and the packet is cut.
  std::uint32_t sender_uid = no_uid;  // Its real one, by the kernel's word, after name_senders.
};
/// One packet, without waiting. -EAGAIN: the peer does not read.
int packet_send(int socket, const Packet& packet);
/// One packet of exactly packet.size bytes, without waiting; descriptors received are the caller's.
/// -EAGAIN none; -EPIPE hung up, after everything it had sent; -EPROTO wrong size or cut: every
/// descriptor received was closed.
int packet_receive(int socket, Packet& packet);
/// One byte that only says "look", without waiting, whatever the peer does. 0; -EAGAIN: the peer
/// has many unread; or -errno.
int look_send(int socket);
/// Takes one that look_send has sent, without waiting. 1; 0: none; -EPIPE: hung up; -EPROTO:
/// something else came. Descriptors that come with it are dropped.
int look_receive(int socket);
/// Waits until the descriptor is readable or hung up. 1 yes, 0 deadline.
int wait_readable(int descriptor, std::int64_t deadline_ns);

int peer_credentials(int socket, Credentials& out);
bool peer_in_group(int socket, const Credentials& peer, std::uint32_t gid);
/// A descriptor that becomes readable when the peer process is gone (and no instruction of it can
/// run). -errno.
int peer_watch(int socket, const Credentials& peer);
/// How far a process is. exiting: no thread of it runs an instruction of its own any more, but the
/// kernel still works for it, maybe for long.
enum class Life : std::uint8_t { unknown, alive, exiting, ended };
/// Of the process behind a peer_watch; unknown where /proc does not show it.
Life life_of(int pidfd);
/// Whether the kernel tells of a peer in a foreign pid namespace (SO_PEERPIDFD, Linux 6.5).
bool has_peer_pidfd();

// ---- Threads

/// A lock of this process: 0 free, 1 taken, 2 taken and slept for. Inline, for each call of the
/// server's data path takes one (docs/decisions/0089).
struct Mutex {
  std::uint32_t word = 0;
};
void mutex_wait(Mutex& mutex);
void mutex_wake(Mutex& mutex);

inline bool mutex_try_lock(Mutex& mutex) {
  std::uint32_t free = 0;
  return __atomic_compare_exchange_n(&mutex.word, &free, 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}
inline void mutex_lock(Mutex& mutex) {
  if (!mutex_try_lock(mutex)) mutex_wait(mutex);
}
inline void mutex_unlock(Mutex& mutex) {
  if (__atomic_exchange_n(&mutex.word, 0, __ATOMIC_RELEASE) == 2) mutex_wake(mutex);
}

class Locked {
 public:
  explicit Locked(Mutex& mutex) : mutex_(mutex) { mutex_lock(mutex_); }
  ~Locked() { mutex_unlock(mutex_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Mutex& mutex_;
};

struct Thread {
  alignas(8) unsigned char state[16];
};
/// Starts a thread with all signals blocked.
int thread_start(Thread& thread, void* (*run)(void*), void* context);
void thread_join(Thread& thread);
std::uint32_t thread_id();
/// Calls around fork: before in the parent, after in the parent, after in the child. Once per
/// process.
int on_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

// ---- Poll sets: of the library thread, and as a descriptor that others poll

/// Marked as non-blocking, for those who poll nothing else.
int poller_create();
/// `key` comes back from poller_wait when the descriptor is readable or hung up; or, hangup_only,
/// hung up. Level-triggered.
int poller_add(int poller, int descriptor, std::uint64_t key, bool hangup_only);
void poller_remove(int poller, int descriptor);
/// 1 with *key, 0 at the deadline; -EBADF or -EINVAL: this process has closed the poller.
int poller_wait(int poller, std::int64_t deadline_ns, std::uint64_t& key);
/// The keys of what is readable or hung up now; how many.
std::size_t poller_look(int poller, gsl::span<std::uint64_t> keys);
/// A descriptor to wake the poller with.
int signal_create();
void signal_raise(int descriptor);
void signal_clear(int descriptor);

// ---- Words the kernel marks when a thread ends

inline constexpr std::uint32_t owner_died = 0x40000000u;   // FUTEX_OWNER_DIED.
inline constexpr std::uint32_t has_waiters = 0x80000000u;  // FUTEX_WAITERS.

/// Adopts the calling thread as the one whose end is announced. Once per thread, before enlist.
int alive_start();
void alive_stop();
/// In a forked child, where none of its memory is.
void alive_forget();
/// Maps the page of `descriptor` at `offset` (a multiple of the page) for enlisting; returns its
/// place, or -errno (at most 256).
int alive_map(int descriptor, std::uint64_t offset);
void alive_unmap(int place);
/// Enlists the word `byte` bytes into the page; the kernel sets owner_died in it when the thread
/// ends. At most 2000 words in
/// all: -ENOSPC, and the word is simply not watched.
int alive_enlist(int place, std::uint32_t byte);
void alive_delist(int place, std::uint32_t byte);

}  // namespace vdset::port
