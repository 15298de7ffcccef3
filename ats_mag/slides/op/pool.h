// A small thread pool in which the calling thread takes part.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace ats_mag {

class Pool {
 public:
  // `threads` counts the caller: with 1 there are no workers. Workers start with the first call that needs them.
  explicit Pool(int threads);
  int threads() const { return threads_; }

  // Calls task(0) .. task(count - 1), each once, handed out in this order, and returns when all are done. A task that
  // throws stops the handing out; the exception of the lowest index is thrown here. Many callers may be inside.
  void For(int64_t count, const std::function<void(int64_t)>& task);

 private:
  struct Job;
  void Work();
  static void Take(Job* job);

  const int threads_;
  std::once_flag started_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;
};

}  // namespace ats_mag
