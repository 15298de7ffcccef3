#include "pool.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <exception>

namespace ats_mag {

struct Pool::Job {
  int64_t count = 0;
  const std::function<void(int64_t)>* task = nullptr;  // the caller's; touched only between a take and its end
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::condition_variable done;
  int64_t running = 0;
  int64_t failed = -1;
  std::exception_ptr error;
};

Pool::Pool(int threads) : threads_(std::max(1, threads)) {}

void Pool::Take(Job* job) {
  {
    std::lock_guard<std::mutex> lock(job->mutex);
    if (job->next.load() >= job->count) return;
    ++job->running;  // from here on the caller waits for this thread
  }
  for (int64_t index = job->next++; index < job->count; index = job->next++) {
    try {
      (*job->task)(index);
    } catch (...) {
      std::lock_guard<std::mutex> lock(job->mutex);
      job->next = job->count;
      if (job->failed < 0 || index < job->failed) {
        job->failed = index;
        job->error = std::current_exception();
      }
    }
  }
  std::lock_guard<std::mutex> lock(job->mutex);
  if (--job->running == 0) job->done.notify_all();
}

void Pool::Work() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return !waiting_.empty(); });
      job = std::move(waiting_.front());
      waiting_.pop_front();
    }
    Take(job.get());
  }
}

void Pool::For(int64_t count, const std::function<void(int64_t)>& task) {
  if (count <= 0) return;
  auto job = std::make_shared<Job>();
  job->count = count;
  job->task = &task;
  const int64_t helpers = std::min<int64_t>(count, threads_) - 1;
  if (helpers > 0) {
    std::call_once(started_, [this] {
      // Signals belong to the program's own threads, so the workers start with all of them blocked.
      sigset_t all, before;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      for (int i = 1; i < threads_; ++i) std::thread([this] { Work(); }).detach();
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
    });
    std::lock_guard<std::mutex> lock(mutex_);
    for (int64_t i = 0; i < helpers; ++i) waiting_.push_back(job);
    wake_.notify_all();
  }
  Take(job.get());
  std::unique_lock<std::mutex> lock(job->mutex);
  job->done.wait(lock, [&] { return job->running == 0 && job->next.load() >= job->count; });
  if (job->error) std::rethrow_exception(job->error);
}

}  // namespace ats_mag
