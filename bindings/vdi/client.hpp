// bindings/vdi/client.hpp: the objects behind ClientVirtualDeviceSet and ClientVirtualDevice.
#pragma once
#include <atomic>
#include "common.hpp"
#include "sqlvdi/vdi.h"

class CVD {
 public:
  CVD() { face.cvd = this; }
  void retire() { device.store(nullptr); }

  void open(vdset_device* opened, int64_t command_unit_ns);
  /// Whether the client was given this and has not been told CLOSE.
  bool is_open() const { return device.load() != nullptr && !closed.load(); }
  /// The client's copy of a command; always the same one for the same `origin`. Null: no room.
  VDC_Command* show(const vdset_command* origin);
  /// What show() was called with, or null for a pointer that it never gave.
  const vdset_command* origin_of(const VDC_Command* command) const;

  ClientVirtualDevice face;
  CVD* next = nullptr;
  std::atomic<vdset_device*> device{nullptr};
  std::atomic<bool> closed{false};  // CLOSE was delivered.
  int64_t unit_ns = sqlvdi::second_ns;

 private:
  // vdset.h hands out at most two private copies for each place of a device's ring.
  static constexpr uint32_t views_max = 2 * VDSET_QUEUE_DEPTH_MAX;
  struct View {
    VDC_Command command;
    const vdset_command* origin;
  };
  View views_[views_max];
  std::atomic<uint32_t> count_{0};
  uint32_t expected_ = 0;  // The ring goes round: this view comes next.
};

class CVDS {
 public:
  /// The object behind the class, made when it is first needed. Null: no memory.
  static CVDS* of(ClientVirtualDeviceSet& face);
  /// The open set, or null.
  static vdset_set* set_of(const ClientVirtualDeviceSet& face);

  int32_t open_device(vdset_set* open, const char* name, ClientVirtualDevice** out);
  int32_t close();

  pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;  // Create, OpenInSecondary: one at a time.
  std::atomic<vdset_set*> set{nullptr};
  bool secondary = false;
  int64_t unit_ns = sqlvdi::second_ns;
  sqlvdi::Devices<CVD> devices;

 private:
  bool has_open_devices();
};
