"""Check the data that the configuration names, before anything is made of them.

needs   the folders under `datasets` and `face_model.folder`
gives   results/fetch/found.json   what is complete, missing or damaged; `dfmvr fetch` prints it as a table
"""


rule check_data:
    """Check licensed data; a stage that could not run stops the workflow here, with the reason."""
    input:
        code=code("fetch.command", *map(reader_of, layouts.MULTIVIEW)),
        data=[str(folder) for folder in study.supplied()],
    output:
        "<results>/fetch/found.json",
    log:
        "<logs>/fetch.log",
    params:
        settings=study.as_json(),
    message:
        "Check the data: {input.data}"
    shell:
        "dfmvr fetch --check --settings {params.settings:q} --json {output:q} &> {log:q}"
