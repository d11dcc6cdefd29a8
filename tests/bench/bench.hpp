// tests/bench/bench.hpp: what every measure needs: time, processors, child processes, shared
// memory, the ping-pong of the same second, and rows. A row is one line of JSON on standard output;
// bench.py adds them up. docs/performance/README.md has the method.
#pragma once
#include <sys/types.h>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bench {

/// How much to do: a whole run, a quick one, or one that only shows that everything still works.
enum class Size { full, quick, tiny };

/// `full`, a tenth, or `tiny`.
int scaled(Size size, int full, int tiny);
/// How often each sample is taken: `full`, three times, once.
int repetitions(Size size, int full);

[[noreturn]] void die(const std::string& what);
/// The call of the library must have succeeded.
void must(std::int32_t result, const char* what);
/// The system call must not have said -1.
long must_call(long result, const char* what);

double now_ns();
double median(std::vector<double> samples);
/// The sample below which this share lies.
double quantile(std::vector<double>& samples, double share);

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// The compiler must have this value at hand here, and may not combine what is before and after.
template <class T>
void keep(T& value) {
  asm volatile("" : "+r"(value) : : "memory");
}

/// The first two processors this program may use; the same one twice where there is but one.
struct Processors {
  int first = 0;
  int second = 0;
  bool two() const { return first != second; }
};
const Processors& processors();

/// Where the two halves of a pair run. -1: wherever the system likes.
struct Placement {
  int requester = -1;
  int responder = -1;
  bool real_time = false;  // SCHED_FIFO, where it is permitted.
};
Placement apart();     // One processor each, real time.
Placement together();  // Both on the first processor, as ordinary processes.

/// Pins the calling thread, and gives it SCHED_FIFO if asked and permitted; undone at the end.
class Hot {
 public:
  Hot(int processor, bool real_time);
  ~Hot();
  Hot(const Hot&) = delete;
  Hot& operator=(const Hot&) = delete;

  bool raised() const { return raised_; }

 private:
  std::vector<unsigned char> mask_;
  bool raised_ = false;
};

/// This program again, with other arguments; it ends with its parent. Inherits every descriptor
/// that is not closed on exec.
class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  /// The next line the child says; it must be one.
  std::string line();
  void tell(const std::string& line);
  /// Waits for its normal end.
  void finish();

 private:
  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
};

/// A child's answer to Child::line().
void say(const std::string& line);
/// A child's wait for Child::tell(); empty at the end.
std::string heard();

/// A child that answers: pinned before its parent spins, and in real time only when its parent is,
/// so that neither keeps the other from getting ready.
class Responder {
 public:
  Responder(const std::string& processor, const std::string& real_time);

 private:
  std::unique_ptr<Hot> pinned_, hot_;
};

/// Anonymous shared memory that a child maps by its descriptor.
class Area {
 public:
  explicit Area(std::size_t bytes);
  Area(int descriptor, std::size_t bytes);
  ~Area();
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
  std::size_t bytes_;
  void* data_ = nullptr;
};

struct alignas(64) Line {
  std::atomic<std::uint32_t> value{0};
};

/// The machine's limit: one line there, one line back, between two processes. ns per round trip.
double ping_pong(const Placement& placement);
int ping_pong_child(const std::vector<std::string>& arguments);

/// One sample. Negative numbers are left out of the row.
struct Sample {
  std::string bench;
  std::string row;
  double x = -1;  // Slots, depth, devices, bytes of a buffer.
  const char* unit = "ns";
  double value = -1;
  double ping = -1;  // The ping-pong of the same second.
  int repetition = 0;
  double p50 = -1, p99 = -1, p999 = -1;
};
void emit(const Sample& sample);
/// A row that cannot be measured here, and why.
void emit_absent(const std::string& bench, const std::string& row, const std::string& why);

/// A scratch directory that goes when the program ends.
const std::string& scratch();

// The measures; each emits its rows.
void bench_handles(Size size);
void bench_trip(Size size);
void bench_one_processor(Size size);
void bench_stream(Size size);
void bench_bulk(Size size);
void bench_devices(Size size);
void bench_times(Size size);
void bench_idle(Size size);

// What a child does, by the first word of its arguments.
int vdset_client(const std::vector<std::string>& arguments);
int hog(const std::vector<std::string>& arguments);
int waiters(const std::vector<std::string>& arguments);
int joiner(const std::vector<std::string>& arguments);
int peer_child(const std::vector<std::string>& arguments);
int bulk_child(const std::vector<std::string>& arguments);

}  // namespace bench
