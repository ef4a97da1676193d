class Table:
    count: int
    ended_count: int
