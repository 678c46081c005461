"""Check the data that the configuration names, before anything is made of them.

needs   the folders under `datasets` and `face_model.folder`, public weights
gives   results/fetch/{dataset}.json   what is complete, missing or damaged; `dfmvr fetch` prints it as a table
"""

READ_BY_CHECKS = {
    "celebamask_hq": {"datasets": {"celebamask_hq"}},
    "face_alignment": {"align": {"landmarks"}},
    "resnet50": {
        "train": {
            method: {"imagenet_weights"}
            for method in ("deng", "shang")
            if any(study.variant(name).method == method for name in TRAINED_ON)
        }
    },
    study.face_model.source: {
        "face_model": {"source", "folder"},
        "datasets": {"pixel_face": {"root"}} if study.compares_keypoints else set(),
    },
}
for _name in layouts.MULTIVIEW:
    READ_BY_CHECKS[_name] = {"datasets": {_name}, "align": {"landmarks"}}


rule check_data:
    """Check a licensed data set, model or weights; a stage that could not run stops here, with the reason."""
    input:
        code=code("fetch.command", *map(reader_of, layouts.MULTIVIEW)),
        data=lambda wildcards: [
            str(place) for place in study.supplied(wildcards.dataset)
        ],
    output:
        "<results>/fetch/{dataset}.json",
    log:
        "<logs>/fetch/{dataset}.log",
    priority: 100
    params:
        settings=lambda wildcards: study.as_json(
            include=READ_BY_CHECKS[wildcards.dataset]
        ),
        listing=lambda wildcards: listing_of(*study.supplied(wildcards.dataset)),
    message:
        "Check {wildcards.dataset}: {input.data}"
    shell:
        "dfmvr fetch --check --dataset {wildcards.dataset} --settings {params.settings:q} --json {output:q} &> {log:q}"
