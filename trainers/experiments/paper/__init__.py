"""The figures and the table of Guo and Kim (2023): what carries out the tables of `recipes/paper`.

`tables` reads them: figures, how each method is trained, and what a smaller run reduces. A figure
is a list of `points`, each of which reads numbers from a cell: one model under one protocol and
seed (`cells`), computed once (`compute`), kept in a file (`store`) and shared among figures.
`reports` and `charts` write what came out beside published numbers.
"""
