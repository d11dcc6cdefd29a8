// tests/conformance/buffers.cpp: sizes, alignments, prefix zones, ownership, handles (8.1).
#include <set>
#include "peer.hpp"
#include "rig.hpp"

namespace conformance {
namespace {

bool is_aligned(const void* address, uint32_t alignment) {
  return reinterpret_cast<uintptr_t>(address) % alignment == 0;
}

/// Every buffer of every class: aligned on both sides, inside the area, and its own.
void alignments(Context& context) {
  for (const uint32_t base : {512u, 4096u, 65536u}) {
    for (const uint32_t prefix : {0u, 24u, 5000u}) {
      Rig rig(context);
      rig.wish.prefixZoneSize = prefix;
      rig.alignment = base;
      rig.create();
      rig.connect();
      rig.begin();
      context.code(rig.server->request(65536, 0, 3), ok, "RequestBuffers");
      context.code(rig.server->request(1024, 0, 2), ok, "RequestBuffers of small ones");
      context.code(rig.server->request(4096, 65536, 2), ok, "RequestBuffers, stricter");
      rig.finish();
      rig.get_configuration();
      rig.open_devices();
      rig.start_agent();
      const struct {
        uint32_t size, alignment;
      } kinds[] = {{65536, 0}, {65536, 0},    {65536, 0},   {1024, 0},
                   {1024, 0},  {4096, 65536}, {4096, 65536}};
      std::set<const void*> seen;
      for (const auto& kind : kinds) {
        const uint32_t aligned = kind.alignment != 0 ? kind.alignment : base;
        Sent write(VDC_Write, static_cast<int>(kind.size), rig.allocate(kind.size, kind.alignment));
        context.check(is_aligned(write.buffer, aligned), "aligned at the server");
        context.check(seen.insert(write.buffer).second, "a buffer of its own");
        rig.send(write);
        const Fetched got = rig.fetch();
        context.check(is_aligned(got.buffer, aligned), "aligned at the client");
        std::memset(got.buffer - prefix, 'p', prefix);  // The client's own.
        context.code(rig.client_devices[0]->complete(got, 0, kind.size), ok, "CompleteCommand");
        write.wait();
      }
      rig.terminate();
    }
  }
  context.cover("8.1", "each buffer is aligned");
}

/// Guard patterns: nobody's data or prefix zone is touched by a neighbour.
void guards(Context& context) {
  constexpr unsigned count = 4;
  constexpr uint32_t prefix = 96;
  Rig rig(context);
  rig.wish.prefixZoneSize = prefix;
  rig.buffers = count;
  rig.activate();
  std::vector<std::unique_ptr<Sent>> sent;
  Fetched got[count];
  for (unsigned i = 0; i < count; ++i) {
    sent.push_back(std::make_unique<Sent>(VDC_Write, 65536, rig.allocate(65536)));
    std::memset(sent[i]->buffer, 'A' + static_cast<int>(i), 65536);
    rig.send(*sent[i]);
    got[i] = rig.fetch();
  }
  for (unsigned i = 0; i < count; ++i) {
    std::memset(got[i].buffer - prefix, 'p' + static_cast<int>(i), prefix);
    std::memset(got[i].buffer, 'a' + static_cast<int>(i), 65536);
  }
  for (unsigned i = 0; i < count; ++i) {
    bool good = true;
    for (uint32_t at = 0; at < prefix; ++at)
      good = good && got[i].buffer[-1 - static_cast<int>(at)] == 'p' + i;
    for (uint32_t at = 0; at < 65536; ++at)
      good = good && got[i].buffer[at] == 'a' + i;
    context.check(good, "a prefix zone and its data keep their pattern");
    context.code(rig.client_devices[0]->complete(got[i], 0, 65536), ok, "CompleteCommand");
    sent[i]->wait();
    context.equal(sent[i]->buffer[65535], 'a' + i, "the server sees what the client wrote");
  }
  rig.terminate();
  context.cover("8.1", "a prefix zone before each buffer");
  context.cover("8.1", "guard patterns hold");
}

void sizes(Context& context) {
  Rig rig(context);
  rig.block = 4096;
  rig.transfer = 131072;
  rig.activate();
  uint8_t* const buffer = rig.allocate(131072);
  for (const int size : {4096, 8192, 65536, 131072}) {
    Sent write(VDC_Write, size, buffer);
    rig.exchange(write, 0, static_cast<uint32_t>(size));
    context.equal(write.bytes, size, "a multiple of the block size");
  }
  for (const int size : {0, -4096, 512, 4095, 131072 + 4096, 262144}) {
    Sent write(VDC_Write, size, buffer);
    context.code(rig.server_devices[0]->send(write), VD_E_INVALID, "a size that cannot be");
    context.equal(write.calls, 0, "no callback after INVALID");
  }
  rig.terminate();
  context.cover("8.1", "sizes are multiples of blockSize, at most maxTransferSize");
  context.cover("17", "7 data");
}

void foreign_buffers(Context& context) {
  Rig rig(context);
  rig.activate();
  uint8_t* const buffer = rig.allocate(65536);
  std::vector<uint8_t> local(512);
  Sent outside(VDC_Write, 512, local.data()), inside(VDC_Write, 512, buffer + 512);
  Sent none(VDC_Read, 512, nullptr);
  for (Sent* sent : {&outside, &inside, &none})
    context.code(rig.server_devices[0]->send(*sent), VD_E_INVALID, "a buffer that is none");
  Sent first(VDC_Write, 512, buffer), twice(VDC_Write, 512, buffer);
  rig.send(first);
  context.code(rig.server_devices[0]->send(twice), VD_E_INVALID, "a buffer in two commands");
  context.code(rig.server->free(buffer, 65536), VD_E_INVALID, "FreeBuffer under way");
  context.code(rig.client_devices[0]->complete(rig.fetch(), 0, 512), ok, "CompleteCommand");
  first.wait();
  context.code(rig.server->free(buffer, 65536), ok, "FreeBuffer");
  context.code(rig.server_devices[0]->send(twice), VD_E_INVALID, "a freed buffer");
  rig.terminate();
  context.cover("8.1", "a buffer has one owner");
}

void handles_here(Context& context) {
  Rig rig(context);
  rig.wish.prefixZoneSize = 64;
  rig.activate();
  uint8_t* const buffer = rig.allocate(65536);
  Sent write(VDC_Write, 65536, buffer);
  rig.send(write);
  const Fetched got = rig.fetch();
  uint32_t handle = 0, none = 0;
  uint8_t* mapped = nullptr;
  context.code(rig.client->get_handle(got.buffer, handle), ok, "GetBufferHandle");
  const int result = rig.client->map_handle(handle, mapped);
  context.code(result, ok, "MapBufferHandle while the command is held");
  context.check(result != ok || mapped == got.buffer, "there and back");
  for (const int offset : {1, 512, 65535, -64, -1})
    context.code(rig.client->get_handle(got.buffer + offset, none), VD_E_INVALID, "not a start");
  context.cover("8.1", "interior addresses have no handle");
  for (const uint32_t forged : {0u, handle + 1, handle ^ 0x10u, handle ^ 0x80000000u, ~handle})
    context.code(rig.client->map_handle(forged, mapped), VD_E_INVALID, "a forged handle");
  context.cover("8.1", "forged handles are refused");
  context.code(rig.client_devices[0]->complete(got, 0, 65536), ok, "CompleteCommand");
  write.wait();
  context.code(rig.client->map_handle(handle, mapped), ok, "good while the buffer is allocated");
  context.check(mapped == got.buffer, "and the same buffer");
  context.code(rig.server->free(buffer, 65536), ok, "FreeBuffer");
  context.code(rig.client->map_handle(handle, mapped), VD_E_INVALID, "not after FreeBuffer");
  context.code(rig.client->get_handle(got.buffer, none), VD_E_INVALID, "nor from the address");
  context.cover("8.1", "a handle lives as long as its buffer");
  rig.terminate();
}

/// One process fetches, another works on the bytes; then a third set refuses the handle.
void handles_across(Context& context) {
  Rig rig(context);
  rig.activate();
  Peer fetcher(context), worker(context);
  context.need(fetcher.call("join " + rig.name), ok, "OpenInSecondary");
  context.need(worker.call("join " + rig.name), ok, "OpenInSecondary");
  uint8_t* const buffer = rig.allocate(65536);
  std::memset(buffer, 'w', 65536);
  Sent write(VDC_Write, 65536, buffer);
  rig.send(write);
  const Fetched got = rig.fetch();
  uint32_t handle = 0;
  context.need(rig.client->get_handle(got.buffer, handle), ok, "GetBufferHandle");
  for (Peer* peer : {&fetcher, &worker}) {
    const std::string line = "map " + std::to_string(handle) + " 65536 ";
    context.code(peer->call(line + std::to_string(peer == &worker ? 'x' : 'w')), ok, "map");
    context.equal(peer->number(0), 'w', "the bytes the helper sees");
    context.check(peer->number(1) != reinterpret_cast<int64_t>(got.buffer),
                  "at another address: no mapping is inherited");
  }
  context.equal(got.buffer[65535], 'x', "the primary sees what the helper wrote");
  context.equal(buffer[0], 'x', "and so does the server");
  context.code(rig.client_devices[0]->complete(got, 0, 65536), ok, "CompleteCommand");
  write.wait();
  Rig other(context);
  other.configure();
  uint8_t* none = nullptr;
  context.code(other.client->map_handle(handle, none), VD_E_INVALID, "a handle of another set");
  rig.terminate();
  context.cover("8.1", "handles across processes");
}

/// The secondary fetches, the primary maps: handles work from any attached process.
void handles_of_a_secondary(Context& context) {
  Rig rig(context, 2);
  rig.configure();
  for (unsigned i = 0; i < 2; ++i) {
    ServerDevice* device = nullptr;
    context.need(rig.server->open_device(rig.device_name(i), device), ok, "server OpenDevice");
    rig.server_devices.push_back(device);
  }
  rig.start_agent();
  Peer peer(context);
  context.need(peer.call("join " + rig.name), ok, "OpenInSecondary");
  context.need(peer.call("open " + rig.device_name(1)), ok, "OpenDevice");
  Sent read(VDC_Read, 512, rig.allocate(512));
  rig.send(read, 1);
  context.need(peer.call("get 0 10000"), ok, "GetCommand");
  context.need(peer.call("handle 0"), ok, "GetBufferHandle");
  uint8_t* mapped = nullptr;
  context.need(rig.client->map_handle(static_cast<uint32_t>(peer.number(0)), mapped), ok,
               "MapBufferHandle in the primary");
  std::memset(mapped, 'r', 512);
  context.code(peer.call("complete 0 0 0 512"), ok, "CompleteCommand");
  context.equal(read.wait(), 0, "Read");
  context.equal(read.buffer[511], 'r', "what the primary wrote for the secondary");
  context.cover("8.1", "a secondary's handle in the primary");
}

/// A RequestBuffers after the clients are at work: they meet the new memory in a command.
void later_buffers(Context& context) {
  Rig rig(context);
  rig.transfer = 131072;
  rig.buffers = 1;
  rig.activate();
  Peer peer(context);
  context.need(peer.call("join " + rig.name), ok, "OpenInSecondary");
  context.need(rig.server->request(131072, 0, 1), ok, "RequestBuffers");
  for (int i = 0; i < 2; ++i) {
    Sent write(VDC_Write, 131072, rig.allocate(131072));
    std::memset(write.buffer, 'l', 131072);
    rig.send(write);
    const Fetched got = rig.fetch();
    context.equal(got.buffer[131071], 'l', "the data");
    uint32_t handle = 0;
    context.code(rig.client->get_handle(got.buffer, handle), ok, "GetBufferHandle");
    context.code(peer.call("map " + std::to_string(handle) + " 1 108"), ok, "in a secondary");
    context.code(rig.client_devices[0]->complete(got, 0, 131072), ok, "CompleteCommand");
    write.wait();
  }
  rig.terminate();
  context.cover("8.1", "buffers that are added later");
}

}  // namespace

std::vector<Scenario> buffer_scenarios() {
  return {{"alignments", "8.1", alignments},
          {"prefix zones and guards", "8.1", guards},
          {"sizes", "8.1", sizes},
          {"buffers that are none", "8.1", foreign_buffers},
          {"handles", "8.1", handles_here},
          {"handles across processes", "8.1", handles_across},
          {"handles of a secondary", "8.1", handles_of_a_secondary},
          {"buffers added later", "8.1", later_buffers}};
}

}  // namespace conformance
