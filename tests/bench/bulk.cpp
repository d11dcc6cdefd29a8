// tests/bench/bulk.cpp: buffers handed to a process that reads every byte of them.
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <cstring>
#include "pair.hpp"
#include "rig.hpp"

namespace bench {

namespace {

constexpr double gib = 1024.0 * 1024.0 * 1024.0;

struct Shape {
  std::uint32_t buffer_bytes;
  int buffers;
  std::size_t area_bytes() const {
    return std::size_t{buffer_bytes} * static_cast<unsigned>(buffers);
  }
};
constexpr Shape shapes[] = {{65536, 64}, {1u << 20, 64}, {4u << 20, 16}};

constexpr std::size_t head_bytes = 4096;

/// A pipe or a socket: copied in, copied out, read.
class Copied {
 public:
  Copied(const Shape& shape, bool socket)
      : bytes_(shape.buffer_bytes), data_(head_bytes + shape.buffer_bytes) {
    int ends[2];
    if (socket) {
      must_call(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
      std::swap(ends[0], ends[1]);
      const int wish = 4 << 20;
      setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &wish, sizeof wish);
    } else {
      must_call(pipe(ends), "pipe");
    }
    to_ = ends[1];
    child_ = std::make_unique<Child>(std::vector<std::string>{
        "bulk", std::to_string(ends[0]), std::to_string(bytes_)});
    close(ends[0]);
    child_->line();
    hot_ = std::make_unique<Hot>(processors().first, true);
    child_->tell("go");
  }
  ~Copied() {
    hot_.reset();
    std::memset(data_.data(), 0xff, 8);  // The mark of the end.
    send(1);
    child_->finish();
    close(to_);
  }
  double pass(int count) {
    const double start = now_ns();
    send(count);
    return now_ns() - start;
  }

 private:
  /// The child says when it has read them all.
  void send(int count) {
    auto* const words = static_cast<std::uint32_t*>(data_.data());
    words[2] = static_cast<std::uint32_t>(count);
    for (int i = 0; i < count; ++i)
      for (std::size_t at = 0; at < bytes_;)
        at += static_cast<std::size_t>(
            must_call(write(to_, static_cast<char*>(data_.data()) + at, bytes_ - at), "write"));
    child_->line();
  }
  std::size_t bytes_;
  Area data_;
  int to_;
  std::unique_ptr<Child> child_;
  std::unique_ptr<Hot> hot_;
};

void read_copies(const std::vector<std::string>& words) {
  const int from = std::stoi(words.at(1));
  const std::size_t bytes = std::stoul(words.at(2));
  const Area data(head_bytes + bytes);
  const auto* const head = static_cast<const std::uint32_t*>(data.data());
  const Responder ready(std::to_string(processors().second), "1");
  for (std::uint32_t done = 1;; ++done) {
    for (std::size_t at = 0; at < bytes;) {
      const long got =
          must_call(read(from, static_cast<char*>(data.data()) + at, bytes - at), "read");
      if (got == 0) return;
      at += static_cast<std::size_t>(got);
    }
    std::uint64_t sum = sum_of(data.data(), bytes);
    keep(sum);
    if (done < head[2]) continue;
    done = 0;
    say("read");
    if (head[0] == 0xffffffffu) return;
  }
}

class Vdset {
 public:
  Vdset(const Shape& shape, bool polls)
      : shape_(shape),
        area_(sizeof(Counters)),
        counters_(*static_cast<Counters*>(area_.data())),
        rig_({1, queue_depth_for(shape.buffers), shape.buffers, shape.buffer_bytes, polls, true,
              false, apart(), area_.descriptor()}) {}
  double pass(int count) {
    Job job;
    job.depth = std::min(shape_.buffers, count);
    job.rounds = count - job.depth;
    return run_job(job, [&] { rig_.send(); }, [&] { rig_.receive(); }) * count;
  }
  /// The same buffers, by two counters and nothing else.
  double pass_by_counters(int count) {
    counters_.handed.value.store(0);
    counters_.taken.value.store(0);
    rig_.send_first(count);
    const double start = now_ns();
    const auto end = static_cast<std::uint32_t>(count);
    for (std::uint32_t handed = 0; handed != end;) {
      while (handed - counters_.taken.value.load(std::memory_order_acquire) ==
             static_cast<std::uint32_t>(shape_.buffers))
        relax();
      counters_.handed.value.store(++handed, std::memory_order_release);
    }
    while (counters_.taken.value.load(std::memory_order_acquire) != end)
      relax();
    const double nanoseconds = now_ns() - start;
    rig_.receive();
    return nanoseconds;
  }

 private:
  Shape shape_;
  Area area_;
  Counters& counters_;
  Rig rig_;
};

void report(const std::string& row, const Shape& shape, double nanoseconds, std::size_t bytes,
            int repetition, double ping) {
  Sample sample;
  sample.bench = "bulk";
  sample.row = row;
  sample.x = shape.buffer_bytes;
  sample.unit = "GiB/s";
  sample.value = static_cast<double>(bytes) / gib / nanoseconds * 1e9;
  sample.repetition = repetition;
  sample.ping = ping;
  emit(sample);
}

int count_of(const Shape& shape, std::size_t bytes) {
  return std::max(2, static_cast<int>(bytes / shape.buffer_bytes));
}

/// Ours and the least there can be, over the same pages, for which they are makes a tenth; there
/// and back again, for the later is the faster.
void measure_vdset(const char* row, const Shape& shape, bool polls, std::size_t bytes,
                   int repetition) {
  const double ping = ping_pong(apart());
  const int half = count_of(shape, bytes / 2);
  const std::size_t passed = 2 * std::size_t{shape.buffer_bytes} * static_cast<std::size_t>(half);
  Vdset stream(shape, polls);
  stream.pass(shape.buffers);  // Every page is touched once.
  const double first = stream.pass(half);
  const double least = stream.pass_by_counters(half) + stream.pass_by_counters(half);
  const double ours = first + stream.pass(half);
  report(row, shape, ours, passed, repetition, ping);
  report(std::string("raw ring, same pages, ") + (polls ? "polling" : "waiting"), shape, least,
         passed, repetition, ping);
}

void measure_copied(const char* row, const Shape& shape, bool socket, std::size_t bytes,
                    int repetition) {
  const double ping = ping_pong(apart());
  const int count = count_of(shape, bytes);
  Copied stream(shape, socket);
  stream.pass(shape.buffers);
  const double nanoseconds = stream.pass(count) + stream.pass(count);
  report(row, shape, nanoseconds,
         2 * std::size_t{shape.buffer_bytes} * static_cast<std::size_t>(count), repetition, ping);
}

/// The limits of memory itself, in one process, over the same bytes.
void measure_memory(const Shape& shape, std::size_t bytes, int repetition) {
  const Area from(shape.area_bytes());
  const Area to(shape.area_bytes());
  const Hot hot(processors().first, true);
  const auto passes = std::max<std::size_t>(1, bytes / shape.area_bytes());
  const auto timed = [&](const char* row, auto step) {
    step();
    const double start = now_ns();
    for (std::size_t i = 0; i < passes; ++i)
      step();
    report(row, shape, now_ns() - start, passes * shape.area_bytes(), repetition, -1);
  };
  timed("memory read alone", [&] {
    std::uint64_t sum = sum_of(from.data(), shape.area_bytes());
    keep(sum);
  });
  timed("memcpy alone", [&] {
    void* target = to.data();
    std::memcpy(target, from.data(), shape.area_bytes());
    keep(target);
  });
}

}  // namespace

int bulk_child(const std::vector<std::string>& words) {
  read_copies(words);
  return 0;
}

void bench_bulk(Size size) {
  const int log2_bytes = size == Size::full ? 31 : size == Size::quick ? 29 : 20;
  const std::size_t whole = std::size_t{1} << log2_bytes;
  for (int repetition = 0; repetition < repetitions(size, 7); ++repetition)
    for (const Shape& shape : shapes) {
      measure_memory(shape, whole / 2, repetition);
      if (!processors().two()) {
        emit_absent("bulk", "vdset, waiting", "needs two processors");
        continue;
      }
      measure_vdset("vdset, waiting", shape, false, whole, repetition);
      measure_vdset("vdset, polling", shape, true, whole, repetition);
      measure_copied("pipe", shape, false, whole / 4, repetition);
      measure_copied("unix stream", shape, true, whole / 4, repetition);
    }
}

}  // namespace bench
