// bindings/vdi/server.hpp: the objects behind ServerVirtualDeviceSet and ServerVirtualDevice.
#pragma once
#include <atomic>
#include "common.hpp"
#include "sqlvdi/vdi_server.h"

class SVD {
 public:
  SVD() { face.svd = this; }
  ~SVD();
  void retire() { device.store(nullptr); }
  int32_t send(VDS_Command& command);

  ServerVirtualDevice face;
  SVD* next = nullptr;
  std::atomic<vdset_server_device*> device{nullptr};

 private:
  /// The library's command for one of the server's, from SendCommand until its routine is called.
  struct Sent {
    vdset_command command;
    VDS_Command* asked;
    SVD* owner;
    Sent* next;
  };
  static void completed(vdset_command* command, void* context);
  Sent* take();
  void put(Sent* sent);

  pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  Sent* spare_ = nullptr;
};

class SVDS {
 public:
  static SVDS* of(ServerVirtualDeviceSet& face);
  static vdset_server* server_of(const ServerVirtualDeviceSet& face);

  int32_t open(const char* name, uint64_t buffer_bytes_max);
  int32_t open_device(vdset_server* open, const char* name, ServerVirtualDevice** out);
  int32_t run_agent(vdset_server* open);
  int32_t close();

  pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;  // Open: one at a time.
  std::atomic<vdset_server*> server{nullptr};
  std::atomic<bool> ended{false};  // An agent saw the normal end.
  sqlvdi::Devices<SVD> devices;
};
