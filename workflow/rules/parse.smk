"""Pretrain the face parse net; write masks and weight maps.

needs   results/simulate/celebamask_hq/   images with part masks (or its root)
        results/align/{dataset}/          crops
gives   results/parse/parser.safetensors  the frozen parser
        results/parse/metrics.json        IoU on held-out images
        results/parse/{dataset}/          masks.npy, weights.npy
"""

OF_WEIGHT_MAPS = {
    *("feature_weight", "face_weight", "background_weight"),
    *("dilation_px", "released"),
}


rule pretrain_parser:
    """Pretrain BiSeNet with ten classes."""
    input:
        code=code("parse.pretrain"),
        data=data_of("celebamask_hq"),
        checked=checked("celebamask_hq"),
    output:
        weights="<results>/parse/parser.safetensors",
        metrics="<results>/parse/metrics.json",
        figure="<results>/parse/iou.png",
        examples="<results>/parse/examples.png",
    log:
        "<logs>/parse/pretrain.log",
    benchmark:
        "<benchmarks>/parse/pretrain.jsonl"
    threads: 1
    resources:
        runtime=study.train.minutes,
    params:
        settings=study.parse.as_json(),
        reading=study.datasets.reading("celebamask_hq"),
        listing=lambda wildcards: listing_of(study.datasets.celebamask_hq.root),
        image_size=study.align.image_size,
    message:
        "Pretrain the face parse net"
    shell:
        "dfmvr parse pretrain --settings {params.settings:q} --data {input.data:q} --reading {params.reading:q} --image-size {params.image_size}"
        " --threads {threads} --weights {output.weights:q} --metrics {output.metrics:q} --figure {output.figure:q}"
        " --examples {output.examples:q} &> {log:q}"


rule parse_dataset:
    """Write the face mask and the weight map of every aligned crop."""
    input:
        code=code("parse.command"),
        aligned="<results>/align/{dataset}",
        weights="<results>/parse/parser.safetensors",
    output:
        directory("<results>/parse/{dataset}"),
    log:
        "<logs>/parse/{dataset}.log",
    benchmark:
        "<benchmarks>/parse/{dataset}.jsonl"
    threads: 2
    params:
        settings=study.parse.as_json(include=OF_WEIGHT_MAPS),
    message:
        "Parse {wildcards.dataset}"
    shell:
        "dfmvr parse --settings {params.settings:q} --align {input.aligned:q} --weights {input.weights:q}"
        " --threads {threads} --output {output:q} &> {log:q}"
