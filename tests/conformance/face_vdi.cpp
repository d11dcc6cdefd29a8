// tests/conformance/face_vdi.cpp: the calls through vdi.h and vdi_server.h. GetCommand's time is in
// milliseconds here: main.cpp sets the environment variable.
#include <cstring>
#include <vector>
#include "face.hpp"

namespace conformance {
namespace {

class VdiClientDevice : public ClientDevice {
 public:
  explicit VdiClientDevice(ClientVirtualDevice* device) : device_(device) {}
  int get(int64_t timeout_ms, Fetched& out) override {
    VDC_Command* got = nullptr;
    const int result = device_->GetCommand(static_cast<time_t>(timeout_ms), &got);
    if (result == ok) out = {got->commandCode, got->size, got->position, got->buffer, got};
    return result;
  }
  int complete(const Fetched& command, int code, uint32_t bytes, int64_t position) override {
    auto* const given = static_cast<VDC_Command*>(const_cast<void*>(command.token));
    return device_->CompleteCommand(given, code, bytes, position);
  }

 private:
  ClientVirtualDevice* device_;
};

char* text(const std::string& name) {
  return const_cast<char*>(name.c_str());
}

int give(int result, const VDAbortReason& from, Reason& out) {
  if (result == ok) out = {from.role, from.processId, from.call, from.code, from.text};
  return result;
}

class VdiClient : public Client {
 public:
  int create(const std::string& name, const VDConfig& wish) override {
    VDConfig copy = wish;
    return set_.Create(text(name), &copy);
  }
  int open_in_secondary(const std::string& name) override {
    return set_.OpenInSecondary(text(name));
  }
  int get_configuration(int64_t timeout_ms, VDConfig& out) override {
    return set_.GetConfiguration(static_cast<time_t>(timeout_ms), &out);
  }
  int open_device(const std::string& name, ClientDevice*& out) override {
    ClientVirtualDevice* opened = nullptr;
    const int result = set_.OpenDevice(text(name), &opened);
    out = nullptr;
    if (opened == nullptr) return result;
    devices_.push_back(std::make_unique<VdiClientDevice>(opened));
    out = devices_.back().get();
    return result;
  }
  int signal_abort() override { return set_.SignalAbort(); }
  int abort_because(int code, const char* why) override { return VDClientAbort(&set_, code, why); }
  int abort_reason(Reason& out) override {
    VDAbortReason reason = {};
    const int result = VDClientAbortReason(&set_, &reason);
    return give(result, reason, out);
  }
  int get_handle(const void* buffer, uint32_t& out) override {
    return set_.GetBufferHandle(static_cast<uint8_t*>(const_cast<void*>(buffer)), &out);
  }
  int map_handle(uint32_t handle, uint8_t*& out) override {
    return set_.MapBufferHandle(static_cast<int>(handle), &out);
  }
  int close() override { return set_.Close(); }

 private:
  ClientVirtualDeviceSet set_;
  std::vector<std::unique_ptr<ClientDevice>> devices_;
};

void completed(VDS_Command* command) {
  reinterpret_cast<Sent*>(command->completionContext)
      ->finish(command->completionCode, command->bytesTransferred, command->outPosition);
}

class VdiServerDevice : public ServerDevice {
 public:
  explicit VdiServerDevice(ServerVirtualDevice* device) : device_(device) {}
  int send(Sent& sent) override {
    sent.vdi = {};
    sent.vdi.commandCode = sent.code;
    sent.vdi.size = sent.size;
    sent.vdi.inPosition = sent.position;
    sent.vdi.buffer = sent.buffer;
    sent.vdi.completionRoutine = completed;
    sent.vdi.completionContext = reinterpret_cast<uint8_t*>(&sent);
    return device_->SendCommand(&sent.vdi);
  }
  int close() override { return device_->CloseDevice(); }

 private:
  ServerVirtualDevice* device_;
};

class VdiServer : public Server {
 public:
  int open(const std::string& name, uint64_t buffer_bytes_max) override {
    return buffer_bytes_max == 0 ? set_.Open(nullptr, name.c_str())
                                 : VDServerOpenLimited(&set_, name.c_str(), buffer_bytes_max);
  }
  int get_configuration(VDConfig& out) override { return set_.GetConfiguration(&out); }
  int begin(uint32_t features, uint32_t block, uint32_t alignment, uint32_t transfer) override {
    return set_.BeginConfiguration(features, block, alignment, transfer, 10000);
  }
  int request(uint32_t size, uint32_t alignment, uint32_t count) override {
    return set_.RequestBuffers(size, alignment, count);
  }
  int query(uint32_t size, uint32_t alignment, uint32_t& count) override {
    return set_.QueryAvailableBuffers(size, alignment, &count);
  }
  int end() override { return set_.EndConfiguration(); }
  int open_device(const std::string& name, ServerDevice*& out) override {
    ServerVirtualDevice* opened = nullptr;
    const int result = set_.OpenDevice(name.c_str(), &opened);
    out = nullptr;
    if (opened == nullptr) return result;
    devices_.push_back(std::make_unique<VdiServerDevice>(opened));
    out = devices_.back().get();
    return result;
  }
  int run_agent() override { return set_.ExecuteCompletionAgent(); }
  int allocate(uint8_t*& out, uint32_t size, uint32_t alignment) override {
    return set_.AllocateBuffer(&out, size, alignment);
  }
  int free(uint8_t* buffer, uint32_t size) override { return set_.FreeBuffer(buffer, size); }
  int is_shared(const uint8_t* address) override { return set_.IsSharedBuffer(address); }
  int signal_abort() override { return set_.SignalAbort(); }
  int abort_because(int code, const char* why) override { return VDServerAbort(&set_, code, why); }
  int abort_reason(Reason& out) override {
    VDAbortReason reason = {};
    const int result = VDServerAbortReason(&set_, &reason);
    return give(result, reason, out);
  }
  int close() override { return set_.Close(); }

 private:
  ServerVirtualDeviceSet set_;
  std::vector<std::unique_ptr<ServerDevice>> devices_;
};

class VdiFace : public Face {
 public:
  const char* name() const override { return "vdi"; }
  bool is_c() const override { return false; }
  std::unique_ptr<Client> client() override { return std::make_unique<VdiClient>(); }
  std::unique_ptr<Server> server() override { return std::make_unique<VdiServer>(); }
  ClientDevice& stray_client_device() override { return client_device_; }
  ServerDevice& stray_server_device() override { return server_device_; }

 private:
  ClientVirtualDevice client_object_;
  ServerVirtualDevice server_object_;
  VdiClientDevice client_device_{&client_object_};
  VdiServerDevice server_device_{&server_object_};
};

}  // namespace

std::unique_ptr<Face> make_vdi_face() {
  return std::make_unique<VdiFace>();
}

}  // namespace conformance
