import ast, json, sys

PLACE = ("lineno", "col_offset", "end_lineno", "end_col_offset")


def dump(n):
    if isinstance(n, ast.AST):
        d = {f: dump(v) for f, v in ast.iter_fields(n)}
        d["_"] = type(n).__name__
        d["@"] = [getattr(n, p, 0) for p in PLACE]
        return d
    if isinstance(n, list):
        return [dump(x) for x in n]
    if n is None or isinstance(n, (str, int, float)):
        return n
    return {"_": "Odd", "@": [0, 0, 0, 0]}


try:
    print(json.dumps({"tree": dump(ast.parse(sys.stdin.buffer.read()))}))
except SyntaxError as e:
    print(json.dumps({"line": e.lineno or 1, "column": e.offset or 1, "error": e.msg}))
except ValueError as e:
    print(json.dumps({"line": 1, "column": 1, "error": str(e)}))
