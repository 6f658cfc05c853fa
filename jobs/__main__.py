"""`python -m jobs`: the command line of the jobs."""

from jobs.commands import jobs

if __name__ == "__main__":
    jobs(prog_name="python -m jobs")
