// tests/conformance/configuration.cpp: what may be asked for and what is agreed (3), names (4), and
// the server's memory (6).
#include "rig.hpp"

namespace conformance {
namespace {

constexpr uint32_t orthogonal[] = {VDF_Discard, VDF_SnapshotPrepare, VDF_RequestComplete};
constexpr uint32_t kinds[] = {VDF_LikePipe, VDF_Removable, VDF_LikeTape, VDF_LikeDisk,
                              VDF_LikeDisk | VDF_Removable};

int create_with(Context& context, const VDConfig& wish) {
  const auto client = context.face.client();
  const int result = client->create(context.fresh_name(), wish);
  if (result == ok) context.code(client->close(), ok, "Close of a set without a server");
  return result;
}

VDConfig wish_of(uint32_t devices, uint32_t features = 0) {
  VDConfig wish = {};
  wish.deviceCount = devices;
  wish.features = features;
  return wish;
}

void device_counts(Context& context) {
  context.code(create_with(context, wish_of(0)), VD_E_NOTSUPPORTED, "deviceCount 0");
  context.cover("3", "deviceCount 0");
  context.code(create_with(context, wish_of(65)), VD_E_NOTSUPPORTED, "deviceCount 65");
  context.code(create_with(context, wish_of(UINT32_MAX)), VD_E_NOTSUPPORTED, "deviceCount 2^32-1");
  context.cover("3", "deviceCount 65");
  for (const uint32_t count : {1u, 64u}) {
    Rig rig(context, count);
    rig.buffers = count;
    rig.activate();
    context.equal(rig.agreed.deviceCount, count, "deviceCount agreed");
    for (unsigned i = 0; i < count; ++i) {
      Sent flush(VDC_Flush);
      rig.exchange(flush, 0, 0, 0, i);
    }
    rig.terminate();
    context.cover("3", "deviceCount " + std::to_string(count));
  }
}

/// The server answers with the client's mask and its own bits.
void check_agreed(Context& context, uint32_t features, uint32_t server_bits) {
  Rig rig(context, 1, features);
  rig.create();
  rig.connect();
  VDConfig seen = {};
  context.code(rig.server->get_configuration(seen), ok, "server GetConfiguration");
  context.equal(seen.features, features, "the client's features at the server");
  context.code(rig.server->begin(features | server_bits, 512, 0, 65536), ok, "BeginConfiguration");
  rig.request();
  rig.finish();
  rig.get_configuration();
  context.equal(rig.agreed.features, features | server_bits, "the features agreed");
}

void feature_mixes(Context& context) {
  for (const uint32_t kind : kinds) {
    for (unsigned more = 0; more < 8; ++more) {
      uint32_t features = kind;
      for (unsigned i = 0; i < 3; ++i)
        if ((more >> i & 1) != 0) features |= orthogonal[i];
      check_agreed(context, features, VDF_WriteMedia);
    }
  }
  context.cover("3", "legal feature mixes");
  const uint32_t illegal[] = {VDF_Rewind,
                              VDF_Position,
                              VDF_SkipBlocks,
                              VDF_ReversePosition,
                              VDF_FileMarks,
                              VDF_LikeTape & ~uint32_t{VDF_Rewind},
                              VDF_LikeTape & ~uint32_t{VDF_Removable},
                              VDF_LikeTape | VDF_LikeDisk,
                              VDF_LikeDisk | VDF_Rewind,
                              VDF_LikeDisk | VDF_FileMarks,
                              VDF_EnumFrozenFiles,
                              VDF_VSSWriter,
                              VDF_LatchStats,
                              0x4,
                              0x8,
                              0x4000};
  for (const uint32_t features : illegal)
    context.code(create_with(context, wish_of(1, features)), VD_E_NOTSUPPORTED, "an illegal mix");
  context.cover("3", "illegal feature mixes");
  for (const uint32_t bit : {VDF_WriteMedia, VDF_ReadMedia, VDF_CompleteEnabled})
    context.code(create_with(context, wish_of(1, bit)), VD_E_NOTSUPPORTED, "a server's bit");
  context.cover("3", "server bits from the client refused");
}

/// Fields 7 to 10 hold what some clients leave there; all eleven come back overwritten.
void server_fields(Context& context) {
  Rig rig(context);
  rig.wish.prefixZoneSize = 128;
  rig.wish.alignment = 1024;
  rig.wish.softFileMarkBlockSize = 512;
  rig.wish.EOMWarningSize = 4096;
  rig.wish.serverTimeOut = 60000;
  rig.wish.blockSize = 12345;
  rig.wish.maxIODepth = 99;
  rig.wish.maxTransferSize = 1;
  rig.wish.bufferAreaSize = 4194304;
  std::memset(&rig.agreed, 0xEE, sizeof rig.agreed);
  rig.configure();
  context.cover("3", "server fields ignored on input");
  const VDConfig& c = rig.agreed;
  context.equal(c.deviceCount, 1, "deviceCount");
  context.equal(c.features, VDF_WriteMedia, "features");
  context.equal(c.prefixZoneSize, 128, "prefixZoneSize");
  context.equal(c.alignment, 1024, "alignment: the client's need is above the block size");
  context.equal(c.softFileMarkBlockSize, 512, "softFileMarkBlockSize");
  context.equal(c.EOMWarningSize, 4096, "EOMWarningSize");
  context.equal(c.serverTimeOut, 60000, "serverTimeOut");
  context.equal(c.blockSize, 512, "blockSize");
  context.equal(c.maxIODepth, 4, "maxIODepth");
  context.equal(c.maxTransferSize, 65536, "maxTransferSize");
  context.check(c.bufferAreaSize >= 8 * 65536, "bufferAreaSize holds all the buffers");
  context.cover("3", "all eleven fields overwritten");
  context.cover("3", "maxIODepth 4");
  context.cover("17", "3 configuration");
}

int begin_with(Context& context, uint32_t features, uint32_t block, uint32_t alignment,
               uint32_t transfer, uint32_t wished = 0) {
  Rig rig(context, 1, wished);
  rig.create();
  rig.connect();
  const int result = rig.server->begin(features, block, alignment, transfer);
  if (result != ok) return result;
  rig.request();
  rig.finish();
  rig.get_configuration();
  context.equal(rig.agreed.blockSize, block, "blockSize agreed");
  context.equal(rig.agreed.alignment, alignment != 0 ? alignment : block, "alignment agreed");
  context.equal(rig.agreed.maxTransferSize, transfer, "maxTransferSize agreed");
  return result;
}

void base_configuration(Context& context) {
  constexpr uint32_t w = VDF_WriteMedia;
  for (uint32_t block = 512; block <= 65536; block *= 2)
    context.code(begin_with(context, w, block, 0, 65536), ok, "a legal block size");
  for (const uint32_t block : {0u, 1u, 256u, 513u, 1000u, 131072u})
    context.code(begin_with(context, w, block, 0, 65536), VD_E_INVALID, "an illegal block size");
  context.cover("3", "block sizes");
  for (uint32_t alignment = 512; alignment <= 65536; alignment *= 4)
    context.code(begin_with(context, w, 512, alignment, 65536), ok, "a legal alignment");
  for (const uint32_t alignment : {256u, 513u, 131072u})
    context.code(begin_with(context, w, 512, alignment, 65536), VD_E_INVALID,
                 "an illegal alignment");
  context.code(begin_with(context, w, 4096, 512, 65536), VD_E_INVALID, "alignment under a block");
  context.cover("3", "alignments");
  for (const uint32_t transfer : {65536u, 131072u, 1048576u, 4194304u})
    context.code(begin_with(context, w, 512, 0, transfer), ok, "a legal transfer size");
  for (const uint32_t transfer : {0u, 512u, 65535u, 65537u, 98304u, 4259840u})
    context.code(begin_with(context, w, 512, 0, transfer), VD_E_INVALID,
                 "an illegal transfer size");
  context.cover("3", "transfer sizes");
}

void server_features(Context& context) {
  context.code(begin_with(context, VDF_ReadMedia, 512, 0, 65536), ok, "RESTORE");
  context.code(begin_with(context, VDF_ReadMedia | VDF_WriteMedia, 512, 0, 65536), ok, "both");
  context.code(begin_with(context, 0, 512, 0, 65536), VD_E_INVALID, "no direction");
  context.cover("3", "direction bits");
  constexpr uint32_t complete = VDF_WriteMedia | VDF_CompleteEnabled;
  context.code(begin_with(context, complete, 512, 0, 65536), VD_E_INVALID,
               "CompleteEnabled unasked");
  check_agreed(context, VDF_RequestComplete, complete);
  check_agreed(context, VDF_RequestComplete, VDF_WriteMedia);  // It need not.
  context.cover("3", "CompleteEnabled only if requested");
  context.code(begin_with(context, VDF_WriteMedia | VDF_Discard, 512, 0, 65536), VD_E_INVALID,
               "a feature that the client lacks");
  context.code(begin_with(context, VDF_WriteMedia | VDF_LikeDisk, 512, 0, 65536), VD_E_INVALID,
               "a class that the client is not of");
  context.cover("3", "features beyond the wish refused");
}

void prefix_limits(Context& context) {
  VDConfig wish = wish_of(1);
  for (const uint32_t bytes : {1u, 511u, 4096u, 65536u}) {
    wish.prefixZoneSize = bytes;
    context.code(create_with(context, wish), ok, "a prefix zone");
  }
  wish.prefixZoneSize = VDSET_PREFIX_BYTES_MAX + 1;
  context.code(create_with(context, wish), VD_E_NOTSUPPORTED, "a prefix zone above 4 MiB");
  context.cover("3", "prefix zone limits");
  wish = wish_of(1);
  wish.alignment = 131072;
  context.code(create_with(context, wish), VD_E_NOTSUPPORTED, "an alignment above 65536");
  wish.alignment = 65536;
  context.code(create_with(context, wish), ok, "an alignment of 65536");
  context.cover("3", "the client's alignment");
}

/// A set under `name` can be made, opened by a server and by a device.
void check_name(Context& context, const std::string& name) {
  Rig rig(context, 2);
  rig.name = name;
  rig.activate();
  Sent flush(VDC_Flush);
  rig.exchange(flush, 0, 0, 0, 1);
  rig.terminate();
}

void names(Context& context) {
  const std::string unique = context.fresh_name();
  check_name(context, "{0F8FAD5B-D9CB-469F-A165-70867728950E}" + unique);
  context.cover("4", "braces");
  check_name(context, "two words and  more " + unique);
  context.cover("4", "spaces");
  check_name(context, "a/b/../c/" + unique);
  context.cover("4", "slashes");
  check_name(context, "\xC3\xBC\xE2\x82\xAC\xFF" + unique);
  context.cover("4", "any bytes");
  check_name(context, unique + std::string(200, 'n'));
  context.cover("4", "200 characters");
  check_name(context, "VDINULL");
  check_name(context, ".");
  const auto client = context.face.client();
  context.code(client->create("back\\slash", wish_of(1)), VD_E_INVALID, "a backslash");
  context.cover("4", "backslash refused");
  context.code(client->create("", wish_of(1)), VD_E_INVALID, "an empty name");
  context.code(client->create(std::string(256, 'n'), wish_of(1)), VD_E_INVALID, "256 bytes");
  context.cover("4", "empty and too long refused");
}

void names_compare(Context& context) {
  Rig rig(context, 2);
  rig.name = context.fresh_name() + "-Case";
  rig.create();
  std::string lower = rig.name;
  lower[lower.size() - 4] = 'c';
  context.code(rig.server->open(lower), VD_E_INVALID, "server Open in other case");
  context.cover("15", "A7 unknown set");
  const auto second = context.face.client();
  context.code(second->create(rig.name, wish_of(1)), VD_E_PROTOCOL, "Create of a name in use");
  context.code(second->create(lower, wish_of(1)), ok, "Create in other case");
  context.cover("15", "A19 name in use");
  rig.connect();
  rig.begin();
  rig.request();
  rig.finish();
  ServerDevice* device = nullptr;
  context.code(rig.server->open_device(lower, device), VD_E_INVALID, "first clause: not the name");
  context.cover("4", "first clause is the set's name");
  context.code(rig.server->open_device(rig.name, device), ok, "first clause: the set's name");
  context.code(rig.server->open_device(lower, device), ok, "a name that differs in case");
  rig.get_configuration();
  ClientDevice* mine = nullptr;
  std::string other = rig.name;
  other[other.size() - 1] = 'E';
  context.code(rig.client->open_device(other, mine), VD_E_INVALID, "OpenDevice in other case");
  const auto secondary = context.face.client();
  const int expected = context.face.is_c() ? VD_E_INVALID : VD_E_PROTOCOL;
  context.code(secondary->open_in_secondary(other), expected, "OpenInSecondary in other case");
  context.cover("4", "case-sensitive");
}

void memory_limit(Context& context) {
  Rig rig(context);
  rig.create();
  context.need(rig.server->open(rig.name, 1 << 20), ok, "server Open with a limit of 1 MiB");
  rig.begin();
  context.code(rig.server->request(65536, 0, 64), ok, "RequestBuffers of 4 MiB");
  context.code(rig.server->end(), VD_E_MEMORY, "EndConfiguration above the limit");
  VDConfig none;
  context.code(rig.client->get_configuration(0, none), VD_E_TIMEOUT, "the set is Configurable");
  uint32_t count = 0;
  context.code(rig.server->query(65536, 0, count), ok, "QueryAvailableBuffers");
  context.check(count > 0 && count < 64, "it tells less than was asked for");
  context.code(rig.server->request(65536, 0, 8), ok, "RequestBuffers of 512 KiB");
  context.code(rig.server->end(), ok, "EndConfiguration under the limit");
  rig.get_configuration();
  rig.open_devices();
  rig.start_agent();
  Sent write(VDC_Write, 65536, rig.allocate(65536));
  rig.exchange(write, 0, 65536);
  rig.terminate();
  context.cover("6", "EndConfiguration MEMORY, then less");
  context.cover("17", "13 EndConfiguration MEMORY");
}

void buffer_requests(Context& context) {
  Rig rig(context);
  rig.create();
  rig.connect();
  rig.begin();
  for (int i = 0; i < 3; ++i)
    context.code(rig.server->request(65536, 0, 2), ok, "RequestBuffers");
  context.code(rig.server->request(512, 0, 1), ok, "RequestBuffers of a small one");
  context.code(rig.server->request(512, 3, 1), VD_E_INVALID, "an alignment that cannot be");
  rig.finish();
  uint32_t count = 0;
  context.code(rig.server->query(65536, 0, count), ok, "QueryAvailableBuffers");
  context.equal(count, 6, "requests before EndConfiguration add up");
  context.cover("6", "RequestBuffers adds up");
  std::vector<uint8_t*> taken;
  for (int i = 0; i < 6; ++i)
    taken.push_back(rig.allocate(65536));
  uint8_t* none = nullptr;
  context.code(rig.server->allocate(none, 65536), VD_E_MEMORY, "AllocateBuffer when all are taken");
  context.code(rig.server->allocate(none, 131072), VD_E_INVALID, "AllocateBuffer of no class");
  context.cover("6", "AllocateBuffer MEMORY and INVALID");
  context.code(rig.server->request(65536, 0, 1), ok, "RequestBuffers after EndConfiguration");
  context.code(rig.server->allocate(none, 65536), ok, "its space is there at once");
  context.cover("6", "RequestBuffers later is immediate");
  context.equal(rig.server->is_shared(none + 65535), 1, "IsSharedBuffer inside");
  uint8_t local = 0;
  context.equal(rig.server->is_shared(&local), 0, "IsSharedBuffer outside");
  context.cover("6", "IsSharedBuffer");
  context.code(rig.server->free(taken[0] + 512, 65536), VD_E_INVALID, "FreeBuffer of an interior");
  context.code(rig.server->free(taken[0], 65536), ok, "FreeBuffer");
  context.code(rig.server->free(taken[0], 65536), VD_E_INVALID, "FreeBuffer twice");
  context.code(rig.server->query(65536, 0, count), ok, "QueryAvailableBuffers");
  context.equal(count, 1, "the one that was freed");
  context.cover("6", "FreeBuffer INVALID");
  context.cover("6", "QueryAvailableBuffers");
}

void layouts(Context& context) {
  context.equal(sizeof(VDConfig), 44, "sizeof VDConfig");
  context.equal(sizeof(VDC_Command), 24, "sizeof VDC_Command");
  context.equal(sizeof(VDS_Command), 56, "sizeof VDS_Command");
  context.equal(sizeof(ClientVirtualDevice), 8, "sizeof ClientVirtualDevice");
  context.equal(sizeof(ClientVirtualDeviceSet), 8, "sizeof ClientVirtualDeviceSet");
  const bool same_codes = VDSET_E_TIMEOUT == VD_E_TIMEOUT && VDSET_E_BUSY == VD_E_BUSY &&
                          VDSET_E_QUEUE_FULL == VD_E_QUEUE_FULL &&
                          VDSET_E_IO_ERROR == VD_E_IO_ERROR;
  context.check(same_codes, "both faces have the same codes");
  context.cover("15", "A5 private codes");
  context.cover("17", "1 layout");
}

}  // namespace

std::vector<Scenario> configuration_scenarios() {
  return {{"device counts", "3", device_counts},
          {"feature mixes", "3", feature_mixes},
          {"server fields", "3", server_fields},
          {"base configuration", "3", base_configuration},
          {"server features", "3", server_features},
          {"limits of a client's wish", "3", prefix_limits},
          {"names that must work", "4", names},
          {"names are compared exactly", "4", names_compare},
          {"EndConfiguration without memory", "6", memory_limit},
          {"buffer requests", "6", buffer_requests},
          {"layouts and codes", "17", layouts}};
}

}  // namespace conformance
