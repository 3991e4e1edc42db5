#include "adamcore/cuda/runtime.hpp"

namespace adamcore::cuda {

bool is_capturing(Stream stream) {
    const Capturing capturing = capturing_of(stream);
    if (capturing == Capturing::forbidden)
        throw Error(
            "CUDA: the arrays' current stream is the default stream, which cannot be used while a blocking stream is "
            "being captured into a CUDA graph: capture on a non-blocking stream "
            "(cupy.cuda.Stream(non_blocking=True)), or make the captured stream the current stream of the arrays' "
            "library");
    return capturing == Capturing::yes;
}

}  // namespace adamcore::cuda
