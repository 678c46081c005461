"""The morphable face model (Eq. 1).

`model` evaluates and stores it, `packed` stores it in little room, `views` shows to three cameras what `coefficients`
tell. The makers are apart, a folder each: `anny`, `bfm`, `ict`; they share `components`, `expressions` and `transfer`.
`command` runs one of them, `preview` draws what came of it.
"""
