// tests/conformance/snapshots.cpp: BACKUP and RESTORE WITH SNAPSHOT (10).
#include "rig.hpp"

namespace conformance {
namespace {

/// Metadata goes out; the client keeps it.
void write_metadata(Rig& rig, std::string& kept, const std::string& text) {
  uint8_t* const buffer = rig.allocate(512);
  std::memset(buffer, 0, 512);
  std::memcpy(buffer, text.data(), text.size());
  Sent write(VDC_Write, 512, buffer);
  rig.send(write);
  const Fetched got = rig.fetch();
  kept.append(reinterpret_cast<char*>(got.buffer), static_cast<std::size_t>(got.size));
  rig.context.code(rig.client_devices[0]->complete(got, 0, 512), ok, "CompleteCommand");
  rig.context.equal(write.wait(), 0, "Write of metadata");
  rig.context.code(rig.server->free(buffer, 512), ok, "FreeBuffer");
}

void command(Rig& rig, int code, int completion = 0) {
  Sent sent(code);
  rig.exchange(sent, completion);
}

/// Up to and with VDC_Snapshot; what the client kept.
std::string back_up(Context& context, bool prepare, int snapshot_code) {
  Rig rig(context, 1, prepare ? VDF_SnapshotPrepare : VDF_LikePipe);
  rig.activate();
  context.check(((rig.agreed.features & VDF_SnapshotPrepare) != 0) == prepare,
                "PrepareToFreeze comes if asked for");
  std::string kept;
  write_metadata(rig, kept, "header");
  if (prepare) command(rig, VDC_PrepareToFreeze);
  write_metadata(rig, kept, "frozen");
  command(rig, VDC_Flush);
  command(rig, VDC_Snapshot, snapshot_code);
  rig.terminate();  // Nothing but CLOSE comes after.
  context.code(rig.client->close(), ok, "Close");
  return kept;
}

void backup_with_prepare(Context& context) {
  const std::string kept = back_up(context, true, 0);
  context.equal(static_cast<int64_t>(kept.size()), 1024, "the metadata");
  context.cover("10", "backup with PrepareToFreeze");
}

void backup_without_prepare(Context& context) {
  back_up(context, false, 0);
  context.cover("10", "backup without PrepareToFreeze");
  context.cover("10", "only CLOSE after Snapshot");
}

void snapshot_given_up(Context& context) {
  back_up(context, true, 995);
  back_up(context, false, 995);
  context.cover("10", "995 on Snapshot");
  context.cover("17", "14 snapshot");
}

void restore(Context& context) {
  const std::string kept = back_up(context, true, 0);
  Rig rig(context);
  rig.server_features = VDF_ReadMedia;
  rig.activate();
  for (std::size_t at = 0; at < kept.size(); at += 512) {
    Sent read(VDC_Read, 512, rig.allocate(512));
    rig.send(read);
    const Fetched got = rig.fetch();
    std::memcpy(got.buffer, kept.data() + at, 512);
    context.code(rig.client_devices[0]->complete(got, 0, 512), ok, "CompleteCommand");
    context.equal(read.wait(), 0, "Read of metadata");
    context.check(std::memcmp(read.buffer, kept.data() + at, 512) == 0, "the metadata of then");
  }
  command(rig, VDC_MountSnapshot);
  rig.terminate();
  context.cover("10", "restore with MountSnapshot");
}

/// Several databases on one volume: all PrepareToFreeze are held until the last came, then all
/// Snapshots complete, each as soon as it is done. Sets do not wait for each other.
void several_databases(Context& context) {
  constexpr unsigned count = 4;
  std::vector<std::unique_ptr<Rig>> rigs;
  std::vector<std::unique_ptr<Sent>> freezes, snapshots;
  std::vector<Fetched> held;
  for (unsigned i = 0; i < count; ++i) {
    rigs.push_back(std::make_unique<Rig>(context, 1, VDF_SnapshotPrepare));
    rigs[i]->activate();
    freezes.push_back(std::make_unique<Sent>(VDC_PrepareToFreeze));
    snapshots.push_back(std::make_unique<Sent>(VDC_Snapshot));
    rigs[i]->send(*freezes[i]);
    held.push_back(rigs[i]->fetch());
  }
  for (unsigned i = 0; i < count; ++i) {
    context.equal(freezes[i]->calls, 0, "held by the client");
    context.code(rigs[i]->client_devices[0]->complete(held[i], 0), ok, "CompleteCommand");
    context.equal(freezes[i]->wait(), 0, "PrepareToFreeze");
    rigs[i]->send(*snapshots[i]);
    held[i] = rigs[i]->fetch();
  }
  for (unsigned i = count; i-- > 0;) {
    context.code(rigs[i]->client_devices[0]->complete(held[i], 0), ok, "CompleteCommand");
    context.equal(snapshots[i]->wait(), 0, "Snapshot, the others still held");
    rigs[i]->terminate();
  }
  context.cover("10", "several databases held together");
  context.cover("14", "SqlSnap: many sets, held commands");
}

}  // namespace

std::vector<Scenario> snapshot_scenarios() {
  return {{"snapshot backup with PrepareToFreeze", "10", backup_with_prepare},
          {"snapshot backup without PrepareToFreeze", "10", backup_without_prepare},
          {"snapshot given up", "10", snapshot_given_up},
          {"snapshot restore", "10", restore},
          {"snapshots of several databases", "10", several_databases}};
}

}  // namespace conformance
