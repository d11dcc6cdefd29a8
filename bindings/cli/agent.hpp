// agent.hpp: the client role for one device: fetch commands, do them on the device's file, complete
// them. The same loop runs in a thread of the primary and in a secondary process.
#pragma once
#include <vdset.h>

#include <string>

#include "control.hpp"
#include "device_tape.hpp"

namespace cli {

struct DeviceTask {
  std::string device_name;
  TapeOptions tape;
  bool is_reopened = false;  // The device's last consumer died a moment ago.
  int link_descriptor = -1;  // -1: this process touches the file itself. Else: the worker's socket.
  bool expects_complete = false;  // Backup: a device closed before Complete is a failed backup.
};

/// Serves the device until the server closes it; returns what was done. Throws Failure.
Counts serve_device(vdset_set* set, vdset_device* device, const DeviceTask& task);

/// Opens the device named in `task`.
vdset_device* open_device(vdset_set* set, const DeviceTask& task);

/// A set joined as a secondary; closed in the end.
class JoinedSet {
 public:
  explicit JoinedSet(const std::string& name);
  ~JoinedSet();
  JoinedSet(const JoinedSet&) = delete;
  JoinedSet& operator=(const JoinedSet&) = delete;
  vdset_set* get() const { return set_; }
  /// Nobody can go on with it.
  bool is_aborted() const;

 private:
  vdset_set* set_ = nullptr;
};

}  // namespace cli
