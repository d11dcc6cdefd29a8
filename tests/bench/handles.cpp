// tests/bench/handles.cpp: pointer to handle and back, in one process: hits and refusals, 1 to 4096
// buffers, in an order that no prefetcher knows.
#include <algorithm>
#include <random>
#include "pair.hpp"
#include "rig.hpp"

namespace bench {

namespace {

/// A set of `count` buffers, all allocated, both of whose roles are this process.
class Local {
 public:
  explicit Local(int count) {
    const std::string name = fresh_name();
    vdset_config wish = wish_for(1);
    vdset_set_options options{};
    options.struct_bytes = sizeof options;
    options.handle_lifetime = VDSET_HANDLES_BUFFER;
    must(vdset_set_create(name.c_str(), &wish, &options, &set), "set_create");
    server = open_server(name, 512, count);
    must(vdset_set_get_configuration(set, VDSET_INFINITE, &wish), "get_configuration");
    for (int i = 0; i < count; ++i) {
      void* buffer = nullptr;
      std::uint32_t handle = 0;
      must(vdset_server_allocate_buffer(server, 512, 0, &buffer), "allocate_buffer");
      must(vdset_server_get_buffer_handle(server, buffer, &handle), "get_buffer_handle");
      handles.push_back(handle);
    }
    std::shuffle(handles.begin(), handles.end(), std::mt19937(1));
    for (const std::uint32_t handle : handles) {
      void *here = nullptr, *there = nullptr;
      must(vdset_set_map_buffer_handle(set, handle, &here), "map_buffer_handle");
      must(vdset_server_map_buffer_handle(server, handle, &there), "map_buffer_handle");
      client_buffers.push_back(here);
      server_buffers.push_back(there);
    }
  }
  ~Local() {
    vdset_server_signal_abort(server, 0, "measured");
    vdset_server_close(server);
    vdset_set_close(set);
  }
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;

  vdset_set* set = nullptr;
  vdset_server* server = nullptr;
  std::vector<std::uint32_t> handles;
  std::vector<void*> client_buffers, server_buffers;
};

/// ns per call of step(i); every result must be the expected one.
template <class Step>
double timed(const Local& local, int calls, bool succeeds, const char* what, Step step) {
  const std::size_t count = local.handles.size();
  const std::size_t passes = std::max<std::size_t>(1, static_cast<std::size_t>(calls) / count);
  std::size_t successes = 0;
  const double start = now_ns();
  for (std::size_t pass = 0; pass < passes; ++pass)
    for (std::size_t i = 0; i < count; ++i)
      successes += step(i) == VDSET_OK;
  const double each = (now_ns() - start) / static_cast<double>(passes * count);
  if (successes != (succeeds ? passes * count : 0)) die(std::string(what) + ": a wrong answer");
  return each;
}

/// A handle as a forger makes it: another set's salt.
constexpr std::uint32_t forged = 0x80000000u;

class Recorder {
 public:
  Recorder(int count, int repetition) {
    sample_.bench = "handles";
    sample_.x = count;
    sample_.repetition = repetition;
  }
  void add(const char* row, double value) {
    sample_.row = row;
    sample_.value = value;
    emit(sample_);
  }

 private:
  Sample sample_;
};

void measure_ours(const Local& local, int calls, Recorder& record) {
  std::uint32_t handle = 0;
  void* address = nullptr;
  const auto add = [&](const char* row, bool succeeds, auto step) {
    timed(local, calls / 10, succeeds, row, step);
    record.add(row, timed(local, calls, succeeds, row, step));
  };
  add("GetBufferHandle, client", true, [&](std::size_t i) {
    return vdset_set_get_buffer_handle(local.set, local.client_buffers[i], &handle);
  });
  add("MapBufferHandle, client", true, [&](std::size_t i) {
    return vdset_set_map_buffer_handle(local.set, local.handles[i], &address);
  });
  add("Get and Map, client", true, [&](std::size_t i) {
    const std::int32_t got =
        vdset_set_get_buffer_handle(local.set, local.client_buffers[i], &handle);
    return got | vdset_set_map_buffer_handle(local.set, handle, &address);
  });
  add("MapBufferHandle refuses, client", false, [&](std::size_t i) {
    return vdset_set_map_buffer_handle(local.set, local.handles[i] ^ forged, &address);
  });
  add("GetBufferHandle refuses, client", false, [&](std::size_t i) {
    return vdset_set_get_buffer_handle(local.set, static_cast<char*>(local.client_buffers[i]) + 64,
                                       &handle);
  });
  add("GetBufferHandle, server", true, [&](std::size_t i) {
    return vdset_server_get_buffer_handle(local.server, local.server_buffers[i], &handle);
  });
  add("MapBufferHandle, server", true, [&](std::size_t i) {
    return vdset_server_map_buffer_handle(local.server, local.handles[i], &address);
  });
}

/// The arithmetic alone, as Boost does it, without any check.
void measure_bare(const Local& local, int calls, Recorder& record) {
  const auto base = reinterpret_cast<std::uintptr_t>(local.client_buffers[0]);
  record.add("bare subtraction and addition",
             timed(local, calls, true, "bare", [&](std::size_t i) {
               auto offset = reinterpret_cast<std::uintptr_t>(local.client_buffers[i]) - base;
               keep(offset);
               std::uintptr_t address = offset + base;
               keep(address);
               return VDSET_OK;
             }));
}

}  // namespace

void bench_handles(Size size) {
  const int calls = scaled(size, 2'000'000, 20'000);
  for (const int count : {1, 8, 64, 512, 4096}) {
    const Local local(count);
    for (int repetition = 0; repetition < repetitions(size, 9); ++repetition) {
      const Hot hot(processors().first, true);
      Recorder record(count, repetition);
      measure_ours(local, calls, record);
      measure_bare(local, calls, record);
      HandleTimes boost;
      const std::string absent = boost_handle_times(count, calls, boost);
      if (!absent.empty()) {
        if (repetition == 0) emit_absent("handles", "Boost.Interprocess, unchecked", absent);
        continue;
      }
      record.add("Boost.Interprocess handle from address", boost.get);
      record.add("Boost.Interprocess address from handle", boost.map);
      record.add("Boost.Interprocess, both", boost.both);
    }
  }
}

}  // namespace bench
