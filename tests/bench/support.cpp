// tests/bench/support.cpp: time, processors, children, rows.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include "bench.hpp"
#include "vdset.h"

namespace bench {

int scaled(Size size, int full, int tiny) {
  if (size == Size::tiny) return tiny;
  return size == Size::full ? full : std::max(tiny, full / 10);
}

int repetitions(Size size, int full) {
  if (size == Size::tiny) return 1;
  return size == Size::full ? full : std::min(full, 3);
}

void die(const std::string& what) {
  std::fprintf(stderr, "bench: %s\n", what.c_str());
  std::exit(1);
}

void must(std::int32_t result, const char* what) {
  if (result != VDSET_OK)
    die(std::string(what) + ": " + vdset_error_name(result) + ": " + vdset_last_error());
}

long must_call(long result, const char* what) {
  if (result == -1) die(std::string(what) + ": " + std::strerror(errno));
  return result;
}

double now_ns() {
  const auto t = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(t).count());
}

double median(std::vector<double> samples) {
  return quantile(samples, 0.5);
}

double quantile(std::vector<double>& samples, double share) {
  if (samples.empty()) die("a quantile of nothing");
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), samples.begin() + at, samples.end());
  return samples[static_cast<std::size_t>(at)];
}

const Processors& processors() {
  static const Processors found = [] {
    cpu_set_t mask;
    must_call(sched_getaffinity(0, sizeof mask, &mask), "sched_getaffinity");
    std::vector<int> usable;
    for (int i = 0; i < CPU_SETSIZE && usable.size() < 2; ++i)
      if (CPU_ISSET(static_cast<unsigned>(i), &mask)) usable.push_back(i);
    return Processors{usable.front(), usable.back()};
  }();
  return found;
}

Placement apart() {
  return {processors().first, processors().second, true};
}
Placement together() {
  return {processors().first, processors().first, false};
}

Hot::Hot(int processor, bool real_time) : mask_(sizeof(cpu_set_t)) {
  must_call(sched_getaffinity(0, mask_.size(), reinterpret_cast<cpu_set_t*>(mask_.data())),
            "sched_getaffinity");
  if (processor >= 0) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(processor), &one);
    must_call(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
  }
  const sched_param first{1};
  raised_ = real_time && sched_setscheduler(0, SCHED_FIFO, &first) == 0;
}

Hot::~Hot() {
  const sched_param ordinary{0};
  if (raised_) sched_setscheduler(0, SCHED_OTHER, &ordinary);
  sched_setaffinity(0, mask_.size(), reinterpret_cast<cpu_set_t*>(mask_.data()));
}

Child::Child(const std::vector<std::string>& arguments) {
  int down[2], up[2];
  must_call(pipe2(down, O_CLOEXEC), "pipe");
  must_call(pipe2(up, O_CLOEXEC), "pipe");
  std::vector<char*> words{const_cast<char*>("bench"), const_cast<char*>("--child")};
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  pid_ = static_cast<pid_t>(must_call(fork(), "fork"));
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(down[0], 0);
    dup2(up[1], 1);
    execv("/proc/self/exe", words.data());
    _exit(127);
  }
  close(down[0]);
  close(up[1]);
  to_ = down[1];
  from_ = up[0];
}

Child::~Child() {
  if (to_ >= 0) close(to_);
  if (from_ >= 0) close(from_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string read_line(int descriptor) {
  std::string line;
  char one;
  while (read(descriptor, &one, 1) == 1) {
    if (one == '\n') return line;
    line += one;
  }
  return {};
}

std::string Child::line() {
  std::string said = read_line(from_);
  if (said.empty()) die("a child process ended early");
  return said;
}

void Child::tell(const std::string& line) {
  const std::string whole = line + "\n";
  must_call(write(to_, whole.data(), whole.size()), "write to a child");
}

void Child::finish() {
  int status = 0;
  must_call(waitpid(pid_, &status, 0), "waitpid");
  pid_ = -1;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) die("a child process failed");
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

std::string heard() {
  return read_line(0);
}

Responder::Responder(const std::string& processor, const std::string& real_time)
    : pinned_(std::make_unique<Hot>(std::stoi(processor), false)) {
  say("ready");
  heard();
  hot_ = std::make_unique<Hot>(std::stoi(processor), real_time == "1");
}

Area::Area(std::size_t bytes)
    : Area(static_cast<int>(must_call(memfd_create("vdset-bench", 0), "memfd_create")), bytes) {}

Area::Area(int descriptor, std::size_t bytes) : descriptor_(descriptor), bytes_(bytes) {
  must_call(ftruncate(descriptor_, static_cast<off_t>(bytes)), "ftruncate");
  data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor_, 0);
  if (data_ == MAP_FAILED) die(std::string("mmap: ") + std::strerror(errno));
}

Area::~Area() {
  munmap(data_, bytes_);
  close(descriptor_);
}

// ---- The ping-pong: its child stays, asleep between the measures. ----

constexpr std::uint32_t ping_rounds = 20'000;
constexpr std::size_t page_bytes = 4096;

int ping_pong_child(const std::vector<std::string>& arguments) {
  const Area area(std::stoi(arguments.at(1)), page_bytes);
  auto* const lines = static_cast<Line*>(area.data());
  const Hot hot(std::stoi(arguments.at(2)), arguments.at(3) == "1");
  say("ready");
  while (heard() == "go") {
    for (std::uint32_t i = 1; i <= ping_rounds; ++i) {
      while (lines[0].value.load(std::memory_order_acquire) != i) {}
      lines[1].value.store(i, std::memory_order_release);
    }
    say("done");
  }
  return 0;
}

double ping_pong(const Placement& placement) {
  static const Area area(page_bytes);
  static Child peer({"ping", std::to_string(area.descriptor()),
                     std::to_string(processors().second), "1"});
  static const std::string ready = peer.line();
  if (!processors().two()) return -1;
  auto* const lines = static_cast<Line*>(area.data());
  const Hot hot(processors().first, placement.real_time);
  lines[0].value.store(0);
  lines[1].value.store(0);
  peer.tell("go");
  double start = 0;
  for (std::uint32_t i = 1; i <= ping_rounds; ++i) {
    lines[0].value.store(i, std::memory_order_release);
    while (lines[1].value.load(std::memory_order_acquire) != i) {}
    if (i == ping_rounds / 10) start = now_ns();
  }
  const double each = (now_ns() - start) / (ping_rounds - ping_rounds / 10);
  peer.line();
  return each;
}

// ---- Rows. ----

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') out += '\\';
    out += letter;
  }
  return out + '"';
}

void add_number(std::string& row, const char* name, double value) {
  if (value < 0 || !std::isfinite(value)) return;
  char text[64];
  std::snprintf(text, sizeof text, ", \"%s\": %.9g", name, value);
  row += text;
}

}  // namespace

void emit(const Sample& sample) {
  std::string row = "{\"bench\": " + quoted(sample.bench) + ", \"row\": " + quoted(sample.row) +
                    ", \"unit\": " + quoted(sample.unit);
  add_number(row, "x", sample.x);
  add_number(row, "value", sample.value);
  add_number(row, "ping", sample.ping);
  add_number(row, "repetition", sample.repetition);
  add_number(row, "p50", sample.p50);
  add_number(row, "p99", sample.p99);
  add_number(row, "p999", sample.p999);
  say(row + "}");
}

void emit_absent(const std::string& bench, const std::string& row, const std::string& why) {
  say("{\"bench\": " + quoted(bench) + ", \"row\": " + quoted(row) +
      ", \"absent\": " + quoted(why) + "}");
}

const std::string& scratch() {
  struct Scratch {
    std::string path = std::filesystem::temp_directory_path() / "vdset-bench.XXXXXX";
    Scratch() {
      if (mkdtemp(path.data()) == nullptr) die("mkdtemp: " + path);
    }
    ~Scratch() { std::filesystem::remove_all(path); }
  };
  static const Scratch made;
  return made.path;
}

}  // namespace bench
