"""The process in which this project is timed."""

from benchmarks.speed.ours import compilation, detector, evaluation, operations, pipeline
from benchmarks.speed.serving import serve

if __name__ == "__main__":
    serve(
        {
            "roi_align": operations.roi_align,
            "nms": operations.nms,
            "nms_per_class": operations.nms_per_class,
            "match": operations.match,
            "top_k": operations.top_k,
            "paste": operations.paste,
            "predict": detector.predict,
            "gradients": detector.gradients,
            "input": pipeline.batches,
            "evaluation": evaluation.evaluation,
            "compilation": compilation.compilation,
            "first_step": compilation.first_step,
        }
    )
