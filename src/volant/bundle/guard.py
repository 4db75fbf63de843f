"""A script without its `if __name__ == "__main__":` blocks, and otherwise as it is.

A worker loads the user's script as the module `__main__`, because that is where the client had it: classes, functions
and pickles name it so. But what the script does when it is *run*, it must not do again. So comparisons of `__name__`
with `"__main__"` that are executed while the module is loaded are answered as an import would answer them.
"""

import ast
from types import CodeType
from typing import TypeVar

_MAIN = "__main__"

N = TypeVar("N", bound=ast.AST)


def compile_without_main_block(source: bytes, file: str) -> CodeType:
    """Compile a script; line numbers, future imports and the docstring stay.

    Raises:
        SyntaxError: it is no Python, or has null bytes.
    """
    tree = ast.parse(source, file)
    return compile(_GuardOff().visit(tree), file, "exec", dont_inherit=True)


class _GuardOff(ast.NodeTransformer):
    """Answers `__name__ == "__main__"` with False, wherever it is executed while the module is loaded."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        match node:
            case ast.Compare(
                left=left, ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() as operator], comparators=[right]
            ):
                if (_is_name(left) and _is_main(right)) or (_is_main(left) and _is_name(right)):
                    return ast.copy_location(ast.Constant(isinstance(operator, (ast.NotEq, ast.IsNot))), node)
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as operator], comparators=[right]):
                if _is_name(left) and _holds_main(right):
                    return ast.copy_location(ast.Constant(isinstance(operator, ast.NotIn)), node)
            case _:
                pass
        return self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> ast.AST:
        if _is_name(node.subject):
            node.subject = ast.copy_location(ast.Constant("__volant_main__"), node.subject)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "__name__"


def _is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == _MAIN


def _holds_main(node: ast.AST) -> bool:
    return isinstance(node, (ast.Tuple, ast.List, ast.Set)) and any(_is_main(item) for item in node.elts)
