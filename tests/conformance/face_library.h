/* tests/conformance/face_library.h: what a language's face exports: the calls of face.hpp over its
 * binding, in a shared library that test_conformance loads (face_library.cpp). A result is a code
 * of VDI's, or FACE_CANNOT: the binding has no way to make this call, be it for its types or since
 * there is no object to call. Times are milliseconds, negative for ever. */
#ifndef VDSET_TESTS_FACE_LIBRARY_H
#define VDSET_TESTS_FACE_LIBRARY_H

#include <stdint.h>
#include <vdset.h>

#define FACE_CANNOT 2

/* A command as a client got it; the token names it in face_client_complete. */
struct face_command {
  int32_t code;
  int32_t size;
  int64_t position;
  void* buffer;
  uint64_t token;
};

/* The completion of a command that was sent with this `sent`. */
typedef void (*face_finish)(void* sent, int32_t code, int32_t bytes, int64_t position);

/* Name, result, parameters. Devices are numbers of their client or server, never used twice. */
#define FACE_CALLS(CALL)                                                                          \
  CALL(client_new, void*, (void))                                                                 \
  CALL(client_free, void, (void* client))                                                         \
  CALL(client_create, int32_t, (void* client, char* name, struct vdset_config* wish))             \
  CALL(client_join, int32_t, (void* client, char* name))                                          \
  CALL(client_configuration, int32_t, (void* client, int64_t ms, struct vdset_config* out))       \
  CALL(client_open_device, int32_t, (void* client, char* name, uint64_t* device))                 \
  CALL(client_abort, int32_t, (void* client, int32_t code, char* text))                           \
  CALL(client_reason, int32_t, (void* client, struct vdset_abort_reason* out))                    \
  CALL(client_get_handle, int32_t, (void* client, void* buffer, uint32_t* out))                   \
  CALL(client_map_handle, int32_t, (void* client, uint32_t handle, void** out))                   \
  CALL(client_close, int32_t, (void* client))                                                     \
  CALL(client_get, int32_t,                                                                       \
       (void* client, uint64_t device, int64_t ms, struct face_command* out))                     \
  CALL(client_complete, int32_t,                                                                  \
       (void* client, uint64_t device, uint64_t token, int32_t code, uint32_t bytes,              \
        int64_t position))                                                                        \
  CALL(server_new, void*, (face_finish finish))                                                   \
  CALL(server_free, void, (void* server))                                                         \
  CALL(server_open, int32_t, (void* server, char* name, uint64_t area_bytes_max))                 \
  CALL(server_configuration, int32_t, (void* server, struct vdset_config* out))                   \
  CALL(server_begin, int32_t,                                                                     \
       (void* server, uint32_t features, uint32_t block, uint32_t alignment, uint32_t transfer))  \
  CALL(server_request, int32_t, (void* server, uint32_t size, uint32_t alignment, uint32_t count)) \
  CALL(server_query, int32_t, (void* server, uint32_t size, uint32_t alignment, uint32_t* out))   \
  CALL(server_end, int32_t, (void* server))                                                       \
  CALL(server_open_device, int32_t, (void* server, char* name, uint64_t* device))                 \
  CALL(server_run_agent, int32_t, (void* server))                                                 \
  CALL(server_allocate, int32_t, (void* server, uint32_t size, uint32_t alignment, void** out))   \
  CALL(server_release, int32_t, (void* server, void* buffer))                                     \
  CALL(server_is_shared, int32_t, (void* server, void* address))                                  \
  CALL(server_abort, int32_t, (void* server, int32_t code, char* text))                           \
  CALL(server_reason, int32_t, (void* server, struct vdset_abort_reason* out))                    \
  CALL(server_close, int32_t, (void* server))                                                     \
  CALL(server_send, int32_t,                                                                      \
       (void* server, uint64_t device, void* sent, int32_t code, int32_t size, int64_t position,  \
        void* buffer))                                                                            \
  CALL(server_close_device, int32_t, (void* server, uint64_t device))

#endif
