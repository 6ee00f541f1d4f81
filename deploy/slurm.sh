#!/bin/bash
# hpo workers as a Slurm array: `sbatch deploy/slurm.sh`, followed by study names to serve only those.
# Set HPO_STORAGE, and HPO_STORAGE_PASSWORD_FILE if it needs a password, where you call sbatch.
#
# Four tasks run at once; when the time of one is up, the next resumes its trials. All end when every study is
# done.
#SBATCH --job-name=hpo
#SBATCH --array=0-15%4
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --output=hpo-%A_%a.log
# SIGTERM two minutes before the time is up: workers save and release their trials.
#SBATCH --signal=TERM@120
# On GPUs, also:
##SBATCH --gpus-per-task=1

set -euo pipefail
: "${HPO_STORAGE:?set it to the database, such as postgresql://hpo@db/hpo}"
# Checkpoints in a folder that all nodes share, so that any node can resume a trial.
: "${HPO_CHECKPOINTS:?set it to a folder that all nodes share}"
: "${HPO_ARTIFACTS:?set it to a folder that all nodes share}"

exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" hpo worker --until-idle --log-format json "$@"
