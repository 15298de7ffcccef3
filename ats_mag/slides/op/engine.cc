#include "engine.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "error.h"

namespace ats_mag {
namespace {

int64_t Setting(const char* name, int64_t smallest, int64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return otherwise;
  char* end = nullptr;
  errno = 0;
  const int64_t value = std::strtoll(text, &end, 10);
  if (*end != '\0' || errno != 0 || value < smallest) {
    throw Error(Code::kFailedPrecondition,
                Cat("the environment variable ", name, " must be a whole number of at least ", smallest,
                    ". Received: ", Quote(text)));
  }
  return value;
}

// The processors this process may use, which taskset and container limits make fewer than the machine's.
int64_t Processors() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return std::thread::hardware_concurrency();
}

// Of decoded tiles; half is OpenSlide's, half that of the tiles decoded here.
int64_t CacheBytes() { return Setting("ATS_MAG_CACHE_BYTES", 0, int64_t{512} << 20); }

std::mutex making;
std::atomic<Engine*> current{nullptr};

// Handlers for fork: the mutex is held across it, so that the child does not inherit it locked by a thread it lacks.
void BeforeFork() { making.lock(); }
void InParent() { making.unlock(); }
void InChild() {
  current = nullptr;  // deliberately leaked, see GetEngine
  making.unlock();
}

}  // namespace

Engine::Engine()
    : slides(static_cast<size_t>(Setting("ATS_MAG_MAX_OPEN_SLIDES", 1, 64)),
             static_cast<size_t>(CacheBytes() / 2)),
      tiles(CacheBytes() / 2),
      pool(static_cast<int>(std::min<int64_t>(1024, Setting("ATS_MAG_THREADS", 1, Processors())))),
      direct(Setting("ATS_MAG_DIRECT", 0, 1) != 0) {}

Engine& GetEngine() {
  Engine* engine = current.load(std::memory_order_acquire);
  if (engine != nullptr) return *engine;
  std::lock_guard<std::mutex> lock(making);
  if (current.load() == nullptr) {
    static const int registered = pthread_atfork(BeforeFork, InParent, InChild);
    static_cast<void>(registered);
    current.store(new Engine, std::memory_order_release);
  }
  return *current.load();
}

}  // namespace ats_mag
