// Why a file cannot be opened as a slide, for messages that say how to mend it.
#pragma once

#include <string>

#include "file.h"
#include "tiff.h"

namespace ats_mag {

// Of a file that was copied in part only: in what that shows; "" where it does not.
std::string WhyCutOff(const File& file, const Tiff& tiff);

// Of a file that OpenSlide does not know: what it is, as far as its first bytes tell, and what to do.
std::string WhyUnknown(const File& file, const Tiff& tiff);

// Whether `error` ("" where there is no text) came about as no more files can be opened now: no fault of the file.
bool IsOpenFileLimit(const std::string& error);

// What then to say.
std::string OpenFileLimit(const std::string& path);

}  // namespace ats_mag
