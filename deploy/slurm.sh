#!/bin/bash
# hpo workers as a Slurm array: `sbatch deploy/slurm.sh`, or with names of studies after it to serve only those.
# HPO_STORAGE, and HPO_STORAGE_PASSWORD_FILE if it needs a password, must be set where sbatch is called.
#
# Four tasks work at once; when the time of one is over, the next takes its place and its trials. All end when
# every study is over.
#SBATCH --job-name=hpo
#SBATCH --array=0-15%4
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --output=hpo-%A_%a.log
# SIGTERM two minutes before the time is over: workers save and give their trials back.
#SBATCH --signal=TERM@120
# On GPUs: also
##SBATCH --gpus-per-task=1

set -euo pipefail
: "${HPO_STORAGE:?set it to the database, such as postgresql://hpo@db/hpo}"
# Checkpoints on a folder that all nodes see: with them a trial goes on where another node left it.
: "${HPO_CHECKPOINTS:?set it to a folder that all nodes share}"
: "${HPO_ARTIFACTS:?set it to a folder that all nodes share}"

exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" hpo worker --until-idle --log-format json "$@"
