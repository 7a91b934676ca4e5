/* A management library with one GPU, whose counters follow the environment.

   FAKE_UUID     the UUID it answers to
   FAKE_NO_TOTAL energy counter not supported
   FAKE_MIG      the GPU is split
   FAKE_REASONS  bits of the throttle reasons
   The counter moves by 2 J each time it is read; the power is 250 W. */
#include <stdlib.h>
#include <string.h>

typedef unsigned long long u64;
static const int SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6;
static int gpu;
static u64 millijoules = 1000;

int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == NOT_FOUND ? "Not Found" : "Not Supported"; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
  *handle = &gpu;
  return strcmp(uuid, getenv("FAKE_UUID")) ? NOT_FOUND : SUCCESS;
}
int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *pending) {
  *now = *pending = 1;
  return getenv("FAKE_MIG") ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetTotalEnergyConsumption(void *handle, u64 *value) {
  if (getenv("FAKE_NO_TOTAL")) return NOT_SUPPORTED;
  *value = millijoules += 2000;
  return SUCCESS;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) { *milliwatts = 250000; return SUCCESS; }
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *degrees) { *degrees = 55; return SUCCESS; }
int nvmlDeviceGetClockInfo(void *handle, int kind, unsigned *mhz) { *mhz = kind == 1 ? 1980 : 0; return SUCCESS; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, u64 *bits) {
  const char *text = getenv("FAKE_REASONS");
  *bits = text ? strtoull(text, 0, 0) : 0;
  return SUCCESS;
}
