"""Make the tables, the figures and the page.

needs   the outputs of all stages
gives   results/report.html   everything on one page that needs no network
        results/report/       tables as CSV and LaTeX, figures
"""

from glob import glob


rule make_report:
    """Make Table I, the figures and the page."""
    input:
        code=code("report", "align/crop", "register", "rendering"),
        texts=glob("dfmvr/report/*.yaml") + glob("dfmvr/report/templates/*"),
        model="<results>/face_model/face_model.npz",
        summary="<results>/face_model/summary.json",
        preview="<results>/face_model/preview.png",
        parser="<results>/parse/metrics.json",
        examples="<results>/parse/examples.png",
        aligned=expand("<results>/align/{dataset}", dataset=DATASETS),
        parsed=expand("<results>/parse/{dataset}", dataset=DATASETS),
        metrics=expand("<results>/train/{method}/metrics.csv", method=TRAINED),
        meshes=of_all_tests("<results>/reconstruct/{method}/{dataset}"),
        registrations=of_all_tests("<results>/register/{method}/{dataset}.npz"),
        scores=of_all_tests("<results>/score/{method}/{dataset}.parquet"),
        real_scan=expand("<results>/score/{method}/real_scan.json", method=SCANNED),
    output:
        page="<results>/report.html",
        tables=directory("<results>/report"),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.jsonl"
    threads: 2
    params:
        settings=section("report"),
        study=settings_of_dfmvr.as_json(study),
    message:
        "Make the report"
    shell:
        "dfmvr report --settings {params.settings:q} --study {params.study:q} --scores {input.scores:q}"
        " --benchmarks benchmarks/workflow --results $(dirname {output.page:q}) --output {output.page:q}"
        " --tables {output.tables:q} &> {log:q}"
